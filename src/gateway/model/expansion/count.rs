//! What a tree expands to is counted before it is put together.
//!
//! What a resource expands to depends on the way to it only through resources that it leads
//! back to: those of its own component, each of which leads to all others. So a resource
//! that is come to from outside its component has one size, and a component of one
//! resource is a sum. Within the others all ways are walked that the encoder will walk,
//! which are no more than the limit lets: each step of such a walk is a resource of the
//! outcome, and no two of them are the same.

use super::{END, Limits, TooLarge, Tree, wrapping};

/// What something expands to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    pub resources: u64,
    pub bytes: u64,
}

impl Size {
    fn add(&mut self, other: Self) {
        self.resources = self.resources.saturating_add(other.resources);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    fn check(self, limits: Limits) -> Result<(), TooLarge> {
        if self.resources > limits.resources {
            return Err(TooLarge::Resources(limits.resources));
        }
        match self.bytes > limits.bytes {
            true => Err(TooLarge::Bytes(limits.bytes)),
            false => Ok(()),
        }
    }
}

/// A node that is gone through, and its next hole.
#[derive(Clone, Copy, Debug)]
struct Visit {
    node: u32,
    hole: u32,
}

/// A count under way.
#[derive(Debug)]
pub struct Count {
    is_flat: bool,
    limits: Limits,
    nodes: Vec<Mark>,
    path: Vec<Visit>,
    phase: Phase,
    /// Nodes whose component is not complete (Tarjan's stack).
    stack: Vec<u32>,
    visited: u32,
    components: u32,
    /// All nodes, each behind those of other components that it leads to.
    order: Vec<u32>,
    /// The size of the node that is being counted.
    size: Size,
    /// What was walked within components of several nodes.
    walked: Size,
}

/// What is known of a node.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// When it was visited, and the earliest node that it was found to lead back to; 0 for
    /// never.
    visited: u32,
    low: u32,
    /// 0 while it is not known.
    component: u32,
    /// Whether its component has other nodes.
    has_company: bool,
    /// Whether its component is come to by it.
    is_entry: bool,
    /// Whether it is being expanded.
    is_open: bool,
    /// What it expands to, come to from outside.
    size: Size,
}

#[derive(Debug)]
enum Phase {
    /// Each resource is nested once.
    Plain,
    /// Which nodes lead to each other.
    Components,
    /// By which nodes components are come to.
    Entries { next: u32 },
    /// The sizes of those, in order.
    Sizes { next: usize },
}

impl Count {
    /// A count of what the root of a tree expands to.
    pub fn new(tree: &Tree, is_flat: bool, limits: Limits) -> Self {
        let is_plain = tree.is_plain();
        let nodes = if is_plain { 0 } else { tree.len() };
        Self {
            is_flat,
            limits,
            nodes: vec![Mark::default(); nodes],
            path: Vec::new(),
            phase: match is_plain {
                true => Phase::Plain,
                false => Phase::Components,
            },
            stack: Vec::new(),
            visited: 0,
            components: 0,
            order: Vec::new(),
            size: Size::default(),
            walked: Size::default(),
        }
    }

    /// Counts on, for so many units of work at most: each is a node or a reference. Returns
    /// the size when it is known, and takes what was used off the units.
    ///
    /// # Errors
    /// When it passes a limit.
    pub fn step(&mut self, tree: &Tree, units: &mut usize) -> Result<Option<Size>, TooLarge> {
        while *units > 0 {
            *units -= 1;
            match self.phase {
                Phase::Plain => {
                    let size = Size {
                        resources: tree.len() as u64,
                        bytes: tree.plain_bytes(self.is_flat),
                    };
                    return size.check(self.limits).map(|()| Some(size));
                }
                Phase::Components => self.find_components(tree),
                Phase::Entries { next } => self.find_entries(tree, next),
                Phase::Sizes { next } => match self.order.get(next) {
                    Some(node) => self.count_node(tree, *node, next)?,
                    None => return Ok(Some(self.nodes[0].size)),
                },
            }
        }
        Ok(None)
    }

    /// A step of a walk that finds the components (Tarjan, 1972).
    fn find_components(&mut self, tree: &Tree) {
        let Some(visit) = self.path.last_mut() else {
            if self.visited > 0 {
                self.phase = Phase::Entries { next: 0 };
            } else {
                self.visit(tree, 0);
            }
            return;
        };
        let node = visit.node as usize;
        if visit.hole < tree.holes_of(visit.node).end {
            let child = tree.hole(visit.hole).child;
            visit.hole += 1;
            let mark = self.nodes[child as usize];
            if mark.visited == 0 {
                self.visit(tree, child);
            } else if mark.component == 0 {
                let low = &mut self.nodes[node].low;
                *low = mark.visited.min(*low);
            }
            return;
        }
        self.path.pop();
        let Mark { visited, low, .. } = self.nodes[node];
        if let Some(parent) = self.path.last() {
            let above = &mut self.nodes[parent.node as usize].low;
            *above = low.min(*above);
        }
        if low == visited {
            self.end_component(node as u32);
        }
    }

    fn visit(&mut self, tree: &Tree, node: u32) {
        self.visited += 1;
        let mark = &mut self.nodes[node as usize];
        (mark.visited, mark.low) = (self.visited, self.visited);
        self.stack.push(node);
        let hole = tree.holes_of(node).start;
        self.path.push(Visit { node, hole });
    }

    fn end_component(&mut self, first: u32) {
        self.components += 1;
        let has_company = self.stack.last() != Some(&first);
        while let Some(node) = self.stack.pop() {
            let mark = &mut self.nodes[node as usize];
            (mark.component, mark.has_company) = (self.components, has_company);
            self.order.push(node);
            if node == first {
                return;
            }
        }
    }

    /// Looks at one hole for a component that is come to from another one.
    fn find_entries(&mut self, tree: &Tree, next: u32) {
        // The path has the node whose holes are gone through.
        let Some(visit) = self.path.last_mut() else {
            if next as usize == tree.len() {
                self.nodes[0].is_entry = true;
                self.phase = Phase::Sizes { next: 0 };
                return;
            }
            self.phase = Phase::Entries { next: next + 1 };
            let hole = tree.holes_of(next).start;
            return self.path.push(Visit { node: next, hole });
        };
        if visit.hole == tree.holes_of(visit.node).end {
            self.path.pop();
            return;
        }
        let (parent, child) = (visit.node as usize, tree.hole(visit.hole).child as usize);
        visit.hole += 1;
        if self.nodes[parent].component != self.nodes[child].component {
            self.nodes[child].is_entry = true;
        }
    }

    /// A step of the walk that the encoder will take from a node, as far as its component.
    fn count_node(&mut self, tree: &Tree, start: u32, next: usize) -> Result<(), TooLarge> {
        let after = Phase::Sizes { next: next + 1 };
        let Some(visit) = self.path.last_mut() else {
            if self.nodes[start as usize].is_entry {
                self.size = Size::default();
                return self.open(tree, start);
            }
            self.phase = after;
            return Ok(());
        };
        let node = visit.node;
        if visit.hole == tree.holes_of(node).end {
            self.path.pop();
            self.nodes[node as usize].is_open = false;
            if self.path.is_empty() {
                self.nodes[start as usize].size = self.size;
                self.phase = after;
            }
            return Ok(());
        }
        let child = tree.hole(visit.hole).child;
        visit.hole += 1;
        let (mark, head) = (self.nodes[child as usize], tree.head_of(child).len());
        if mark.is_open {
            let bytes = (head + END.len()) as u64;
            return self.grow(
                node,
                Size {
                    resources: 0,
                    bytes,
                },
            );
        }
        let bytes = wrapping(self.is_flat, head, tree.member_of(child));
        let around = Size {
            resources: 0,
            bytes,
        };
        if mark.component == self.nodes[node as usize].component {
            self.grow(node, around)?;
            return self.open(tree, child);
        }
        self.size.add(around);
        self.size.add(mark.size);
        self.size.check(self.limits)
    }

    fn open(&mut self, tree: &Tree, node: u32) -> Result<(), TooLarge> {
        self.nodes[node as usize].is_open = true;
        let hole = tree.holes_of(node).start;
        self.path.push(Visit { node, hole });
        let bytes = tree.text_of(node).len() as u64;
        self.grow(
            node,
            Size {
                resources: 1,
                bytes,
            },
        )
    }

    /// Adds what a node itself expands to.
    fn grow(&mut self, node: u32, size: Size) -> Result<(), TooLarge> {
        self.size.add(size);
        self.size.check(self.limits)?;
        if self.nodes[node as usize].has_company {
            self.walked.add(size);
        }
        self.walked.check(self.limits)
    }
}
