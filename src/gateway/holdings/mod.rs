//! What clients hold: the graph of subscriptions, how they are loaded, what waits for them.

mod anchor;
mod children;
mod collect;
mod graph;
mod loading;
mod search;
mod sending;
mod sets;
mod waiting;
mod walks;
