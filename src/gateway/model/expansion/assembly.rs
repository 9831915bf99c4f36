//! The texts of a tree are put together.

use super::{END, Size, Tree};

/// Bytes of text that are one unit of work.
const UNIT: usize = 64;

/// A body that is being put together.
#[derive(Debug)]
pub struct Assembly {
    is_flat: bool,
    body: Vec<u8>,
    path: Vec<Visit>,
    /// By node, whether it is being expanded.
    open: Vec<bool>,
}

/// A node that is being expanded: its next hole, and the place in its text.
#[derive(Debug)]
struct Visit {
    node: u32,
    hole: u32,
    at: usize,
}

impl Assembly {
    /// The body of a tree that expands to this size.
    pub fn new(tree: &Tree, is_flat: bool, size: Size) -> Self {
        let mut assembly = Self {
            is_flat,
            body: Vec::with_capacity(size.bytes as usize),
            path: Vec::new(),
            open: vec![false; tree.len()],
        };
        assembly.open(tree, 0);
        assembly
    }

    /// Goes on for so many units of work: each is a resource, a reference, or 64 bytes of
    /// text. Returns the body when it is complete, and takes what was used off the units.
    pub fn step(&mut self, tree: &Tree, units: &mut usize) -> Option<Vec<u8>> {
        while *units > 0 {
            *units -= 1;
            let Some(visit) = self.path.last_mut() else {
                return Some(std::mem::take(&mut self.body));
            };
            let hole = (visit.hole < tree.holes_of(visit.node).end).then(|| tree.hole(visit.hole));
            let stop = hole.map_or(tree.text_of(visit.node).end, |hole| hole.at as usize);
            let room = units.saturating_add(1).saturating_mul(UNIT);
            let end = stop.min(visit.at.saturating_add(room));
            self.body.extend_from_slice(&tree.text()[visit.at..end]);
            *units = units.saturating_sub((end - visit.at) / UNIT);
            visit.at = end;
            if end < stop {
                continue;
            }
            visit.hole += 1;
            match hole {
                Some(hole) => self.fill(tree, hole.child),
                None => self.close(),
            }
        }
        None
    }

    fn fill(&mut self, tree: &Tree, child: u32) {
        let is_open = self.open[child as usize];
        if is_open || !self.is_flat {
            self.body.extend_from_slice(tree.head_of(child));
        }
        if is_open {
            return self.body.extend_from_slice(END);
        }
        if !self.is_flat {
            self.body
                .extend_from_slice(tree.member_of(child).as_bytes());
        }
        self.open(tree, child);
    }

    fn open(&mut self, tree: &Tree, node: u32) {
        self.open[node as usize] = true;
        self.path.push(Visit {
            node,
            hole: tree.holes_of(node).start,
            at: tree.text_of(node).start,
        });
    }

    fn close(&mut self) {
        if let Some(visit) = self.path.pop() {
            self.open[visit.node as usize] = false;
        }
        if !self.is_flat && !self.path.is_empty() {
            self.body.extend_from_slice(END);
        }
    }
}
