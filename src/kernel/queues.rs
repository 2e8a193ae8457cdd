//! Queues of streams, and the routines that work with them.
//!
//! A stream is a row of queues of elements, each element a run of bytes as it lies in memory. Kernels reach queues through
//! calls ([`Stmt::Call`](super::Stmt::Call)) of the classes that [`Operation`] names, so that whoever looks at a kernel takes a
//! push or a pop for what it is: a call that must run once, in its place. Elements go through memory that the call names
//! among what it reads or writes.
//!
//! | operation | arguments, all `int64` |
//! |---|---|
//! | `Open` | stream, how many queues, bytes of an element, whether it keeps what it holds if it has as many already |
//! | `Push` | stream, queue, address of the element |
//! | `Pop` | stream, queue, how many elements, address that they go to |
//! | `Length` | stream, queue, address of the `int64` that takes it |
//! | `Append` | stream, queue, and the stream and queue that take all it holds |
//!
//! A call fails if there is no such queue, if a pop wants more than there is, or if there is no memory; it has changed nothing
//! then. Queues last until the kernel ends.

use std::collections::VecDeque;

/// What a call does with queues.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Gives a stream its queues.
    Open,
    /// Appends an element.
    Push,
    /// Takes elements.
    Pop,
    /// Counts elements.
    Length,
    /// Moves all elements of a queue to the end of another.
    Append,
}

impl Operation {
    const ALL: [Operation; 5] =
        [Operation::Open, Operation::Push, Operation::Pop, Operation::Length, Operation::Append];

    /// The class of its calls.
    pub const fn class(self) -> &'static str {
        match self {
            Operation::Open => "StreamOpen",
            Operation::Push => "StreamPush",
            Operation::Pop => "StreamPop",
            Operation::Length => "StreamLength",
            Operation::Append => "StreamAppend",
        }
    }

    /// The operation of a class of calls, if it is one.
    pub fn of(class: &str) -> Option<Operation> {
        Operation::ALL.into_iter().find(|operation| operation.class() == class)
    }
}

/// All streams of a run, by number.
#[derive(Debug, Default)]
pub struct Streams(Vec<Stream>);

#[derive(Debug, Default)]
struct Stream {
    /// Bytes of an element.
    element: usize,
    queues: Vec<VecDeque<u8>>,
}

impl Streams {
    /// Gives a stream so many queues. They are empty, unless it `keeps` those it has and they are as many.
    pub fn open(&mut self, stream: i64, count: i64, element: i64, keeps: bool) -> Option<()> {
        let (stream, count) = (usize::try_from(stream).ok()?, usize::try_from(count).ok()?);
        let element = usize::try_from(element).ok()?;
        let missing = (stream + 1).saturating_sub(self.0.len());
        self.0.try_reserve(missing).ok()?;
        self.0.extend((0..missing).map(|_| Stream::default()));
        let stream = self.0.get_mut(stream)?;
        if keeps && stream.queues.len() == count && stream.element == element {
            return Some(());
        }
        stream.queues.try_reserve(count.saturating_sub(stream.queues.len())).ok()?;
        stream.queues.iter_mut().for_each(VecDeque::clear);
        stream.queues.resize_with(count, VecDeque::new);
        stream.element = element;
        Some(())
    }

    /// Bytes of an element of a stream.
    pub fn element(&self, stream: i64) -> Option<usize> {
        Some(self.0.get(usize::try_from(stream).ok()?)?.element)
    }

    fn queue(&mut self, stream: i64, queue: i64) -> Option<&mut VecDeque<u8>> {
        self.0.get_mut(usize::try_from(stream).ok()?)?.queues.get_mut(usize::try_from(queue).ok()?)
    }

    /// How many elements a queue holds.
    pub fn length(&mut self, stream: i64, queue: i64) -> Option<i64> {
        let element = self.element(stream)?.max(1);
        i64::try_from(self.queue(stream, queue)?.len() / element).ok()
    }

    /// Appends an element, given by its bytes.
    pub fn push(&mut self, stream: i64, queue: i64, bytes: &[u8]) -> Option<()> {
        let queue = self.queue(stream, queue)?;
        queue.try_reserve(bytes.len()).ok()?;
        queue.extend(bytes);
        Some(())
    }

    /// Takes the bytes of the first elements.
    pub fn pop(&mut self, stream: i64, queue: i64, bytes: &mut [u8]) -> Option<()> {
        let queue = self.queue(stream, queue)?;
        if queue.len() < bytes.len() {
            return None;
        }
        let taken = queue.drain(..bytes.len());
        bytes.iter_mut().zip(taken).for_each(|(to, from)| *to = from);
        Some(())
    }

    /// Moves all elements of a queue to the end of another one; nothing if they are the same.
    pub fn append(&mut self, from: (i64, i64), to: (i64, i64)) -> Option<()> {
        let more = self.queue(from.0, from.1)?.len();
        self.queue(to.0, to.1)?.try_reserve(more).ok()?;
        if from != to {
            let mut taken = std::mem::take(self.queue(from.0, from.1)?);
            self.queue(to.0, to.1)?.append(&mut taken);
        }
        Some(())
    }

    /// The run is over: no stream has queues.
    pub fn close(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_leave_in_the_order_they_came_in() {
        let mut streams = Streams::default();
        assert_eq!(streams.open(1, 2, 2, false), Some(()));
        for element in [[1, 2], [3, 4], [5, 6]] {
            assert_eq!(streams.push(1, 1, &element), Some(()));
        }
        assert_eq!(streams.length(1, 1), Some(3));
        let mut taken = [0; 4];
        assert_eq!(streams.pop(1, 1, &mut taken), Some(()));
        assert_eq!(taken, [1, 2, 3, 4]);
        // More than there is: nothing is taken.
        assert_eq!(streams.pop(1, 1, &mut taken), None);
        assert_eq!(streams.append((1, 1), (1, 0)), Some(()));
        assert_eq!([0, 1].map(|queue| streams.length(1, queue)), [Some(1), Some(0)]);
        assert_eq!(streams.length(1, 2), None);
        assert_eq!(streams.length(-1, 0), None);
    }

    #[test]
    fn an_opened_stream_is_empty_unless_it_keeps_as_many_queues() {
        let mut streams = Streams::default();
        for (count, keeps, left) in [(1, false, 0), (1, true, 1), (2, true, 0), (2, false, 0)] {
            assert_eq!(streams.open(0, count, 1, keeps), Some(()));
            assert_eq!(streams.length(0, 0), Some(left));
            assert_eq!(streams.push(0, 0, &[7]), Some(()));
        }
        streams.close();
        assert_eq!(streams.length(0, 0), None);
    }
}
