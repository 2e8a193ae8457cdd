//! Items in the order of time, each into the hole that fits best, as a heap would do it.

use std::collections::{BTreeMap, BTreeSet};

use super::instance::{Instance, Layout};

/// Free bytes below the top, by offset and by length.
#[derive(Default)]
struct Holes {
    by_offset: BTreeMap<u64, u64>,
    by_length: BTreeSet<(u64, u64)>,
}

impl Holes {
    fn remove(&mut self, offset: u64, length: u64) {
        self.by_offset.remove(&offset);
        self.by_length.remove(&(length, offset));
    }

    /// Adds a hole, joined with its neighbours.
    fn add(&mut self, mut offset: u64, mut length: u64) {
        if length == 0 {
            return;
        }
        if let Some((&before, &room)) = self.by_offset.range(..offset).next_back()
            && before + room == offset
        {
            self.remove(before, room);
            offset = before;
            length += room;
        }
        if let Some(&room) = self.by_offset.get(&(offset + length)) {
            self.remove(offset + length, room);
            length += room;
        }
        self.by_offset.insert(offset, length);
        self.by_length.insert((length, offset));
    }
}

pub(super) fn place(instance: &Instance) -> Layout {
    let mut layout = Layout { offsets: vec![0; instance.len()], peak: 0 };
    let mut ends = instance.by_time.clone();
    ends.sort_by_key(|&item| instance.spans[item as usize].last);
    let mut ends = ends.into_iter().peekable();
    let mut holes = Holes::default();
    for &item in &instance.by_time {
        let index = item as usize;
        while let Some(gone) =
            ends.next_if(|&gone| instance.spans[gone as usize].last < instance.spans[index].first)
        {
            holes.add(layout.offsets[gone as usize], instance.sizes[gone as usize]);
        }
        let size = instance.sizes[index];
        let fitting = holes.by_length.range((size, 0)..).find_map(|&(length, offset)| {
            let start = instance.aligned(item, offset);
            (start + size <= offset + length).then_some((offset, length, start))
        });
        let start = match fitting {
            Some((offset, length, start)) => {
                holes.remove(offset, length);
                holes.add(offset, start - offset);
                holes.add(start + size, offset + length - (start + size));
                start
            }
            // The hole at the top, if there is one, is part of the place.
            None => {
                let last = holes.by_offset.last_key_value().map(|(&offset, &length)| (offset, length));
                let from = match last {
                    Some((offset, length)) if offset + length == layout.peak => {
                        holes.remove(offset, length);
                        offset
                    }
                    _ => layout.peak,
                };
                let start = instance.aligned(item, from);
                holes.add(from, start - from);
                layout.peak = start + size;
                start
            }
        };
        layout.offsets[index] = start;
    }
    layout
}
