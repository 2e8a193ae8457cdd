//! Ids, arenas and interned names: the plumbing every other module stands on.
//!
//! Entities live in [`Arena`]s and are named by `u32` newtype ids that print with a prefix
//! (`block3`, `node12`). Nothing is reference counted; an id is only meaningful together with
//! the arena that issued it.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

use hashbrown::HashMap;

/// What an arena key has to offer: conversion from and to a dense index.
pub trait EntityId: Copy + Eq {
    /// The id of the `index`-th entity.
    fn from_index(index: usize) -> Self;
    /// The dense index behind the id.
    fn index(self) -> usize;
}

/// Declares a `u32` newtype id with a printed prefix.
#[macro_export]
macro_rules! entity_id {
    ($(#[$meta:meta])* $name:ident, $prefix:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl $crate::entity::EntityId for $name {
            fn from_index(index: usize) -> Self {
                Self(u32::try_from(index).unwrap_or(u32::MAX))
            }
            fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }
    };
}

/// A growable table whose rows are addressed by id. Rows are never removed, only tombstoned by
/// their owner, so ids stay valid.
#[derive(Clone, PartialEq)]
pub struct Arena<K, V> {
    rows: Vec<V>,
    key: PhantomData<K>,
}

impl<K: EntityId, V> Arena<K, V> {
    /// An empty arena.
    pub fn new() -> Self {
        Self { rows: Vec::new(), key: PhantomData }
    }

    /// Adds a row and returns its id.
    pub fn push(&mut self, value: V) -> K {
        let id = K::from_index(self.rows.len());
        self.rows.push(value);
        id
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The row behind `id`, if the arena issued it.
    pub fn get(&self, id: K) -> Option<&V> {
        self.rows.get(id.index())
    }

    /// The row behind `id` for change, if the arena issued it.
    pub fn get_mut(&mut self, id: K) -> Option<&mut V> {
        self.rows.get_mut(id.index())
    }

    /// Ids in order of creation.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = K> + ExactSizeIterator + use<K, V> {
        (0..self.rows.len()).map(K::from_index)
    }

    /// Ids with their rows, in order of creation.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (K, &V)> + ExactSizeIterator {
        self.rows.iter().enumerate().map(|(index, row)| (K::from_index(index), row))
    }

    /// Ids with their rows for change, in order of creation.
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = (K, &mut V)> + ExactSizeIterator {
        self.rows.iter_mut().enumerate().map(|(index, row)| (K::from_index(index), row))
    }

    /// Rows in order of creation.
    pub fn values(&self) -> std::slice::Iter<'_, V> {
        self.rows.iter()
    }
}

impl<K: EntityId, V> Default for Arena<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: EntityId, V> Index<K> for Arena<K, V> {
    type Output = V;
    fn index(&self, id: K) -> &V {
        &self.rows[id.index()]
    }
}

impl<K: EntityId, V> IndexMut<K> for Arena<K, V> {
    fn index_mut(&mut self, id: K) -> &mut V {
        &mut self.rows[id.index()]
    }
}

impl<K: EntityId, V> FromIterator<V> for Arena<K, V> {
    fn from_iter<I: IntoIterator<Item = V>>(rows: I) -> Self {
        Self { rows: rows.into_iter().collect(), key: PhantomData }
    }
}

impl<K: EntityId + fmt::Debug, V: fmt::Debug> fmt::Debug for Arena<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

entity_id! {
    /// An interned name; compare freely, resolve through the [`Names`] that issued it.
    Name, "name"
}

/// The string table of one program. Interning is deterministic: the n-th new string gets id n.
#[derive(Clone, Default, Debug)]
pub struct Names {
    strings: Vec<Box<str>>,
    ids: HashMap<Box<str>, Name>,
}

impl Names {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// The id of `text`, interned if it is new.
    pub fn intern(&mut self, text: &str) -> Name {
        if let Some(&id) = self.ids.get(text) {
            return id;
        }
        let id = Name::from_index(self.strings.len());
        self.strings.push(text.into());
        self.ids.insert(text.into(), id);
        id
    }

    /// The id of `text` if somebody interned it.
    pub fn lookup(&self, text: &str) -> Option<Name> {
        self.ids.get(text).copied()
    }

    /// The text of a name. A foreign name gives `"?"` rather than a panic.
    pub fn get(&self, name: Name) -> &str {
        self.strings.get(name.index()).map_or("?", |text| text)
    }

    /// How many names are interned.
    pub fn len(&self) -> usize {
        self.strings.len()
    }

    /// Whether nothing is interned.
    pub fn is_empty(&self) -> bool {
        self.strings.is_empty()
    }

    /// A name that starts with `stem` and that nobody interned before.
    pub fn fresh(&mut self, stem: &str) -> Name {
        if self.lookup(stem).is_none() {
            return self.intern(stem);
        }
        let free = (0..).map(|n| format!("{stem}_{n}")).find(|text| self.lookup(text).is_none());
        self.intern(&free.unwrap_or_default())
    }
}

impl Index<Name> for Names {
    type Output = str;
    fn index(&self, name: Name) -> &str {
        self.get(name)
    }
}
