//! The table of connections, in which a stale key finds nothing.

use slab::Slab;

use super::connection::{Connection, ConnectionKey, Generation};
use crate::gateway::ClientKey;

/// Connections for which there is always room.
const KEPT: usize = 1 << 10;

/// All connections by their keys, those included that have ended in this turn.
#[derive(Debug)]
pub(super) struct Table {
    places: Slab<Connection>,
    /// That of the newest connection.
    generation: Generation,
    /// Places that were used since there was no connection.
    used: usize,
}

impl Table {
    /// No connections.
    pub(super) fn new() -> Self {
        Self {
            places: Slab::new(),
            generation: Generation::default(),
            used: 0,
        }
    }

    /// How many connections there are.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// A number that all places of connections are below.
    pub(super) fn places(&self) -> usize {
        self.used
    }

    /// A key for the connection that is inserted next.
    pub(super) fn next_key(&mut self) -> ConnectionKey {
        self.generation = self.generation.next();
        ConnectionKey::new(self.places.vacant_key() as u32, self.generation)
    }

    /// Inserts the connection that the last [`next_key`](Self::next_key) is for.
    pub(super) fn insert(&mut self, connection: Connection) -> &mut Connection {
        if self.places.is_empty() {
            self.used = 0;
        }
        let place = self.places.vacant_entry();
        self.used = self.used.max(place.key() + 1);
        place.insert(connection)
    }

    /// Frees the place of a connection.
    pub(super) fn remove(&mut self, key: ConnectionKey) {
        if self.get(key).is_some() {
            self.places.try_remove(key.index());
        }
        // A crowd has left.
        if self.places.is_empty() && self.places.capacity() > KEPT {
            self.places = Slab::new();
        }
    }

    /// The connection with this key.
    pub(super) fn get(&self, key: ConnectionKey) -> Option<&Connection> {
        self.places
            .get(key.index())
            .filter(|connection| connection.generation == key.generation())
    }

    /// The connection with this key.
    pub(super) fn get_mut(&mut self, key: ConnectionKey) -> Option<&mut Connection> {
        self.places
            .get_mut(key.index())
            .filter(|connection| connection.generation == key.generation())
    }

    /// The connection of a client of the gateway, and its key. The gateway hears of a
    /// connection's end before its place is used again, so that the place is enough.
    pub(super) fn of_client(
        &mut self,
        ClientKey(index): ClientKey,
    ) -> Option<(ConnectionKey, &mut Connection)> {
        let connection = self.places.get_mut(index as usize)?;
        Some((ConnectionKey::new(index, connection.generation), connection))
    }

    /// The connection of a client of the gateway, to be looked at.
    pub(super) fn see(&self, ClientKey(index): ClientKey) -> Option<&Connection> {
        self.places.get(index as usize)
    }

    /// All connections and their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnectionKey, &Connection)> {
        self.places.iter().map(|(index, connection)| {
            let key = ConnectionKey::new(index as u32, connection.generation);
            (key, connection)
        })
    }
}
