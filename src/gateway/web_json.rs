//! Resources as the web sees them: JSON with what is referenced nested in it.
//!
//! In the `json` encoding a referenced resource is an object with its address and its
//! content; in `jsonflat` it is the content alone. Soft references, and references to
//! what is being encoded further out, are the address alone.

use super::Gateway;
use super::paths::id_to_path;
use super::subscription::SubKey;
use crate::res::service::Data;
use crate::res::value::Value;
use crate::res::{Error, json};
use hashbrown::HashSet;

/// Largest body of an answer, in bytes: a graph of references can double at each level.
pub(crate) const MAX_BODY: usize = 64 << 20;

/// Room for a body at first, in bytes.
const USUAL_BODY: usize = 256;

impl Gateway {
    /// Encodes a resource with what it references nested in it. A resource that is being
    /// encoded further out is only named.
    pub(super) fn encode_tree(&self, root: SubKey) -> Result<Vec<u8>, Error> {
        /// A resource that is being encoded, and the place of its next value.
        struct Level {
            sub: SubKey,
            next: usize,
        }
        let mut out = Vec::with_capacity(USUAL_BODY);
        // What is being encoded, but for the innermost: most answers have no other.
        let mut outer: HashSet<SubKey, foldhash::fast::RandomState> = HashSet::default();
        let mut levels = vec![Level { sub: root, next: 0 }];
        let client = self.subs.arena[root].client;
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
            let value = match content.data() {
                Data::Model(model) => {
                    if at == 0 {
                        out.push(b'{');
                    }
                    model.get(at).map(|(name, value)| {
                        if at > 0 {
                            out.push(b',');
                        }
                        json::write_string(name, &mut out);
                        out.push(b':');
                        value
                    })
                }
                Data::Collection(values) => {
                    if at == 0 {
                        out.push(b'[');
                    }
                    values.get(at).inspect(|_| {
                        if at > 0 {
                            out.push(b',');
                        }
                    })
                }
            };
            let Some(value) = value else {
                out.push(if content.is_model() { b'}' } else { b']' });
                levels.pop();
                if let Some(level) = levels.last() {
                    outer.remove(&level.sub);
                    if !self.flat {
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
        if self.flat {
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
        let error = self.subs.arena[child].error();
        let error = error.map_or(&Error::NOT_FOUND, |error| &**error);
        if self.flat {
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
        json::write_string(&id_to_path(&self.api_path, rid), out);
    }
}
