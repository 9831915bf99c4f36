//! Resources as the web sees them: JSON with what is referenced nested in it.
//!
//! In the `json` encoding a referenced resource is an object with its address and its
//! content; in `jsonflat` it is the content alone. Soft references, and references to
//! what is being encoded further out, are the address alone.

use crate::gateway::Gateway;
use crate::gateway::model::content::Content;
use crate::gateway::model::keys::SubKey;
use crate::gateway::model::paths::id_to_path;
use crate::res::{Error, Value, json};
use hashbrown::HashSet;

/// Largest body of an answer, in bytes: a graph of references can double at each level.
pub(crate) const MAX_BODY: usize = 64 << 20;

/// Room for a body at first, in bytes.
const USUAL_BODY: usize = 256;

/// A resource that is being encoded, and the place of its next value.
struct Level {
    sub: SubKey,
    next: usize,
}

impl Gateway {
    /// Encodes a resource with what it references nested in it. A resource that is being
    /// encoded further out is only named.
    ///
    /// # Errors
    /// When it is too large.
    pub(super) fn encode_tree(&self, root: SubKey) -> Result<Vec<u8>, Error> {
        let mut out = Vec::with_capacity(USUAL_BODY);
        // What is being encoded, but for the innermost: most answers have no other.
        let mut outer: HashSet<SubKey, foldhash::fast::RandomState> = HashSet::default();
        let mut levels = vec![Level { sub: root, next: 0 }];
        let client = self.holdings[root].client();
        while let Some(level) = levels.last_mut() {
            if out.len() > MAX_BODY {
                return Err(Error::internal(
                    "the resource with its references is too large",
                ));
            }
            let Some(content) = self.content(level.sub) else {
                break;
            };
            let at = level.next;
            level.next += 1;
            let Some(value) = next_value(content, at, &mut out) else {
                levels.pop();
                if let Some(level) = levels.last() {
                    outer.remove(&level.sub);
                    if !self.options.flat {
                        out.push(b'}');
                    }
                }
                continue;
            };
            let Value::Reference(reference) = value else {
                self.write_web_value(value, &mut out);
                continue;
            };
            let child = self.find_sub(client, &reference.rid);
            let is_open = |child: &SubKey| *child == level.sub || outer.contains(child);
            let Some(child) = child.filter(|child| !is_open(child)) else {
                self.write_href(&reference.rid, &mut out);
                out.push(b'}');
                continue;
            };
            if let Some(content) = self.content(child) {
                self.begin_child(&reference.rid, content.is_model(), &mut out);
                outer.insert(level.sub);
                levels.push(Level {
                    sub: child,
                    next: 0,
                });
            } else {
                self.write_failed_child(&reference.rid, child, &mut out);
            }
        }
        Ok(out)
    }

    fn begin_child(&self, rid: &str, is_model: bool, out: &mut Vec<u8>) {
        if self.options.flat {
            return;
        }
        self.write_href(rid, out);
        let member: &[u8] = if is_model {
            b",\"model\":"
        } else {
            b",\"collection\":"
        };
        out.extend_from_slice(member);
    }

    fn write_failed_child(&self, rid: &str, child: SubKey, out: &mut Vec<u8>) {
        let error = self.holdings[child].standing.error();
        let error = error.map_or(&Error::NOT_FOUND, |error| &**error);
        if self.options.flat {
            return error.write(out);
        }
        self.write_href(rid, out);
        out.extend_from_slice(b",\"error\":");
        error.write(out);
        out.push(b'}');
    }

    /// Appends a value that is not followed.
    fn write_web_value(&self, value: &Value, out: &mut Vec<u8>) {
        match value {
            Value::SoftReference(reference) => {
                self.write_href(&reference.rid, out);
                out.push(b'}');
            }
            _ => match value.data_content() {
                Some(content) => out.extend_from_slice(content.as_bytes()),
                None => value.write_text(out),
            },
        }
    }

    /// Appends the beginning of an object that names a resource.
    fn write_href(&self, rid: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"href\":");
        json::write_string(&id_to_path(&self.options.api_path, rid), out);
    }
}

/// The next value of a resource, behind the text that stands before it; `None` behind the
/// text of the resource's end.
fn next_value<'c>(content: &'c Content, at: usize, out: &mut Vec<u8>) -> Option<&'c Value> {
    let (begin, end) = match content.is_model() {
        true => (b'{', b'}'),
        false => (b'[', b']'),
    };
    if at == 0 {
        out.push(begin);
    }
    if at == content.size() {
        out.push(end);
        return None;
    }
    if at > 0 {
        out.push(b',');
    }
    let (name, value) = content.entry(at)?;
    if let Some(name) = name {
        json::write_string(name, out);
        out.push(b':');
    }
    Some(value)
}
