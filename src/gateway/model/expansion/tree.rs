//! Resources are read, each once: its text with holes where others are nested.

use super::{END, Form, Limits, TooLarge};
use crate::gateway::model::content::Content;
use crate::gateway::model::keys::AliasKey;
use crate::gateway::model::paths::id_to_path;
use crate::res::{Error, Value, json};
use hashbrown::HashMap;
use std::ops::Range;
use std::rc::Rc;

/// Room for a text at first, in bytes.
const USUAL_TEXT: usize = 256;

/// Bytes of text that are one unit of work.
const UNIT: usize = 64;

/// Addresses that are kept for each byte that a body may have, where they may not be a
/// part of it.
const ADDRESSES_MAX: u64 = 4;

/// What a reference leads to.
#[derive(Debug)]
pub enum Followed {
    /// This resource is nested.
    To(AliasKey),
    /// Nothing: it stays an address.
    Nowhere,
}

/// The resources below a root, each once.
#[derive(Debug)]
pub struct Tree {
    nodes: Vec<Node>,
    /// In the order of the nodes, and of their texts.
    holes: Vec<Hole>,
    /// The texts of all nodes that were read, one behind the other.
    text: Vec<u8>,
    /// The addresses of all nodes that are referred to.
    heads: Vec<u8>,
    /// The place of each resource, when there are several.
    places: HashMap<AliasKey, u32, foldhash::fast::RandomState>,
    /// Nodes whose content was given, and those of them that were read.
    given: usize,
    read: usize,
    /// The content that is being read.
    current: Option<Current>,
    /// Bytes of the members that have the contents of nested resources, and of their ends.
    wrapped: u64,
    /// References followed so far.
    followed: usize,
}

/// A resource. Its text and holes begin where those of the node before end.
#[derive(Debug)]
struct Node {
    alias: AliasKey,
    /// 0 for an error.
    version: u64,
    /// Its address among [`Tree::heads`]; empty for a root that nothing refers to.
    head: Range<u32>,
    text_end: u32,
    hole_end: u32,
    member: &'static str,
}

/// Where a resource is nested in another one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hole {
    pub at: u32,
    pub child: u32,
}

#[derive(Debug)]
struct Current {
    content: Rc<Content>,
    /// The place of the next value.
    next: usize,
    /// Where its next reference is expected to stand among its distinct ones.
    place: usize,
}

impl Tree {
    pub fn new(root: AliasKey) -> Self {
        let mut tree = Self {
            nodes: Vec::with_capacity(1),
            holes: Vec::new(),
            text: Vec::with_capacity(USUAL_TEXT),
            heads: Vec::new(),
            places: HashMap::default(),
            given: 0,
            read: 0,
            current: None,
            wrapped: 0,
            followed: 0,
        };
        tree.nodes.push(Node::new(root));
        tree
    }

    /// The resource whose content is to be given next; `None` while one is being read, and
    /// when all were.
    pub fn wanted(&self) -> Option<AliasKey> {
        match self.current {
            Some(_) => None,
            None => self.nodes.get(self.read).map(|node| node.alias),
        }
    }

    /// Whether all were read.
    pub fn is_read(&self) -> bool {
        self.read == self.nodes.len()
    }

    /// Units of work so far: a resource, a reference, and 64 bytes of text are one each.
    pub fn work(&self) -> usize {
        self.read + self.followed + self.text.len() / UNIT
    }

    /// Gives the content of the wanted resource.
    pub fn give(&mut self, content: Rc<Content>) {
        self.given += 1;
        let node = &mut self.nodes[self.read];
        node.version = content.version;
        node.member = match content.is_model() {
            true => ",\"model\":",
            false => ",\"collection\":",
        };
        self.current = Some(Current {
            content,
            next: 0,
            place: 0,
        });
    }

    /// Says that the wanted resource could not be loaded.
    pub fn give_error(&mut self, error: &Error) {
        self.given += 1;
        self.nodes[self.read].member = ",\"error\":";
        error.write(&mut self.text);
        self.end_node();
    }

    fn end_node(&mut self) {
        let node = &mut self.nodes[self.read];
        node.text_end = self.text.len() as u32;
        node.hole_end = self.holes.len() as u32;
        if self.read > 0 {
            self.wrapped += (node.member.len() + END.len()) as u64;
        }
        self.read += 1;
    }

    /// Reads on in the content that was given, until its end or so many units of work are
    /// done. `follow` says what a reference of it leads to, and may say that there is no use
    /// in going on. It has a number for itself, which begins with 0 for each content.
    ///
    /// # Errors
    /// When it is known to be too large, or what `follow` says.
    pub fn read<E: From<TooLarge>>(
        &mut self,
        form: Form<'_>,
        limits: Limits,
        units: usize,
        mut follow: impl FnMut(&Content, &Rc<str>, &mut usize) -> Result<Followed, E>,
    ) -> Result<(), E> {
        let end = self.work().saturating_add(units);
        let Some(mut current) = self.current.take() else {
            return Ok(());
        };
        while self.work() < end {
            let at = current.next;
            current.next += 1;
            let content = &current.content;
            let Some(value) = next_value(content, at, &mut self.text) else {
                self.end_node();
                return Ok(self.check(form, limits)?);
            };
            match value {
                Value::Reference(reference) => {
                    match follow(content, &reference.rid, &mut current.place)? {
                        Followed::To(alias) => self.make_hole(alias, &reference.rid, form),
                        Followed::Nowhere => write_address(&reference.rid, form, &mut self.text),
                    }
                }
                Value::SoftReference(reference) => {
                    write_address(&reference.rid, form, &mut self.text);
                }
                _ => match value.data_content() {
                    Some(content) => self.text.extend_from_slice(content.as_bytes()),
                    None => value.write_text(&mut self.text),
                },
            }
            self.check(form, limits)?;
        }
        self.current = Some(current);
        Ok(())
    }

    fn make_hole(&mut self, alias: AliasKey, rid: &str, form: Form<'_>) {
        if self.places.is_empty() {
            self.places.insert(self.nodes[0].alias, 0);
        }
        let new = self.nodes.len() as u32;
        let child = *self.places.entry(alias).or_insert(new);
        if child == new {
            self.nodes.push(Node::new(alias));
        }
        let head = &mut self.nodes[child as usize].head;
        if head.end == 0 {
            let start = self.heads.len() as u32;
            write_head(rid, form, &mut self.heads);
            *head = start..self.heads.len() as u32;
        }
        self.followed += 1;
        let at = self.text.len() as u32;
        self.holes.push(Hole { at, child });
    }

    /// All that was read is a part of what it expands to, but for the addresses in the flat
    /// form.
    fn check(&self, form: Form<'_>, limits: Limits) -> Result<(), TooLarge> {
        let (text, heads) = (self.text.len() as u64, self.heads.len() as u64);
        let is_long = match form.is_flat {
            true => text > limits.bytes || heads / ADDRESSES_MAX > limits.bytes,
            false => text + heads + self.wrapped > limits.bytes,
        };
        if is_long {
            return Err(TooLarge::Bytes(limits.bytes));
        }
        match self.nodes.len() as u64 > limits.resources {
            true => Err(TooLarge::Resources(limits.resources)),
            false => Ok(()),
        }
    }

    /// The resources whose content was given, and their versions; `None` if one could not
    /// be loaded, for errors have none.
    pub fn parts(&self) -> Option<Box<[(AliasKey, u64)]>> {
        let parts = self.nodes[..self.given].iter();
        let parts = parts.map(|node| (node.version > 0).then_some((node.alias, node.version)));
        parts.collect()
    }

    /// The version of the root, if its content was given.
    pub fn root_version(&self) -> Option<u64> {
        let root = self.nodes.first().filter(|root| root.version > 0)?;
        Some(root.version)
    }

    /// Whether nothing is nested in the root: its text is the body.
    pub fn is_leaf(&self) -> bool {
        self.holes.is_empty()
    }

    /// The texts of all that was read.
    pub fn take_text(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.text)
    }

    /// Whether each resource is nested once, so that its size is the sum of its parts.
    pub(super) fn is_plain(&self) -> bool {
        self.holes.len() + 1 == self.nodes.len()
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Bytes that it expands to if it is plain.
    pub(super) fn plain_bytes(&self, is_flat: bool) -> u64 {
        let text = self.text.len() as u64;
        match is_flat {
            true => text,
            false => text + self.heads.len() as u64 + self.wrapped,
        }
    }

    /// The text of a node, as a range of [`Tree::text`].
    pub(super) fn text_of(&self, node: u32) -> Range<usize> {
        let end = |node: usize| self.nodes[node].text_end as usize;
        let node = node as usize;
        node.checked_sub(1).map_or(0, end)..end(node)
    }

    /// Where others are nested in a node, as a range for [`Tree::hole`].
    pub(super) fn holes_of(&self, node: u32) -> Range<u32> {
        let end = |node: usize| self.nodes[node].hole_end;
        let node = node as usize;
        node.checked_sub(1).map_or(0, end)..end(node)
    }

    pub(super) fn hole(&self, hole: u32) -> Hole {
        self.holes[hole as usize]
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The beginning of the object that names a node.
    pub(super) fn head_of(&self, node: u32) -> &[u8] {
        let head = &self.nodes[node as usize].head;
        &self.heads[head.start as usize..head.end as usize]
    }

    /// The member of that object that has a node's content.
    pub(super) fn member_of(&self, node: u32) -> &'static str {
        self.nodes[node as usize].member
    }
}

impl Node {
    fn new(alias: AliasKey) -> Self {
        Self {
            alias,
            version: 0,
            head: 0..0,
            text_end: 0,
            hole_end: 0,
            member: "",
        }
    }
}

/// Appends the beginning of an object that names a resource.
fn write_head(rid: &str, form: Form<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"href\":");
    json::write_string(&id_to_path(form.api_path, rid), out);
}

/// Appends an object that names a resource.
fn write_address(rid: &str, form: Form<'_>, out: &mut Vec<u8>) {
    write_head(rid, form, out);
    out.extend_from_slice(END);
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
