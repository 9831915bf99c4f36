//! Old forms of services' messages: understood, and each spoken of once.

use log::warn;

/// Which old forms have been met.
#[derive(Debug, Default)]
pub struct Deprecated {
    pub change: bool,
    pub new: bool,
}

impl Deprecated {
    /// A change event of a resource has its properties at the top level.
    pub fn old_change(&mut self, name: &str) {
        if !std::mem::replace(&mut self.change, true) {
            warn!(
                "a change event of {name} has the form of protocol 1.0, which is deprecated: \
                 let the service send {{\"values\":{{..}}}} with the properties in it \
                 (this is said once)"
            );
        }
    }

    /// A `new` call of a resource was answered with the new one's ID as a plain result.
    pub fn old_new(&mut self, name: &str) {
        if !std::mem::replace(&mut self.new, true) {
            warn!(
                "a new call of {name} is answered in the form of protocol 1.1, which is \
                 deprecated: let the service answer {{\"resource\":{{\"rid\":..}}}} in place of \
                 {{\"result\":{{\"rid\":..}}}} (this is said once)"
            );
        }
    }
}
