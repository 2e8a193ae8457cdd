//! A linear timeline, and how long each item on it lives.
//!
//! Whoever walks a program in one fixed order counts moments, opens and closes loops, and tells when an item is
//! declared and touched. The rule for loops is the only rule there is:
//!
//! > An item that is touched in a loop, but declared outside of it, lives while the loop runs: what one iteration
//! > writes the next one may read, and iterations of a parallel loop may run at the same time.
//!
//! An item that is declared in a loop starts anew in each iteration, so its span lies within one. If a loop around
//! its declaration is parallel, the item is *private*: each thread needs one of its own.

/// A point of the timeline.
pub type Moment = u32;

/// Moments from the first to the last one, both inclusive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Span {
    /// First moment.
    pub first: Moment,
    /// Last moment.
    pub last: Moment,
}

impl Span {
    /// Whether there is a moment that lies in both.
    pub const fn meets(self, other: Span) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// A timeline being walked.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    now: Moment,
    open: Vec<OpenLoop>,
    /// Loops opened so far.
    serial: u32,
    items: Vec<Item>,
}

#[derive(Clone, Debug)]
struct OpenLoop {
    serial: u32,
    start: Moment,
    parallel: bool,
    /// Items declared outside, each once.
    touched: Vec<usize>,
}

#[derive(Clone, Debug, Default)]
struct Item {
    /// Loops that were open when it was declared; `None` before.
    depth: Option<usize>,
    private: bool,
    span: Option<Span>,
    /// The loop that notes it at present.
    noted_by: u32,
    everywhere: bool,
}

impl Timeline {
    /// The present moment.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// The next moment begins.
    pub fn step(&mut self) -> Moment {
        self.now = self.now.saturating_add(1);
        self.now
    }

    /// A loop begins.
    pub fn open_loop(&mut self, parallel: bool) {
        self.serial += 1;
        let start = self.step();
        self.open.push(OpenLoop { serial: self.serial, start, parallel, touched: Vec::new() });
    }

    /// The innermost loop ends.
    pub fn close_loop(&mut self) {
        let now = self.step();
        let Some(closed) = self.open.pop() else { return };
        for index in closed.touched {
            if let Some(span) = self.items.get_mut(index).and_then(|item| item.span.as_mut()) {
                span.last = now;
            }
        }
        self.step();
    }

    /// A new item, not declared yet.
    pub fn item(&mut self) -> usize {
        self.items.push(Item::default());
        self.items.len() - 1
    }

    /// The item's memory is taken here, each time this place is reached. Of several declarations the outermost counts.
    pub fn declare(&mut self, item: usize) {
        self.declare_at(item, self.open.len());
    }

    /// The item's memory is taken once, before all loops.
    pub fn declare_outermost(&mut self, item: usize) {
        self.declare_at(item, 0);
    }

    fn declare_at(&mut self, item: usize, depth: usize) {
        let private = self.open.iter().take(depth).any(|around| around.parallel);
        if let Some(item) = self.items.get_mut(item) {
            item.depth = Some(item.depth.map_or(depth, |known| known.min(depth)));
            item.private |= private;
        }
    }

    /// The item is read or written now; nothing if it is not declared yet, as it has no memory then.
    pub fn touch(&mut self, item: usize) {
        let now = self.now;
        let Some(known) = self.items.get_mut(item) else { return };
        let Some(depth) = known.depth else { return };
        let mut from = now;
        if let Some(around) = self.open.get_mut(depth) {
            from = around.start;
            if known.noted_by != around.serial {
                known.noted_by = around.serial;
                around.touched.push(item);
            }
        }
        known.span = Some(match known.span {
            Some(span) => Span { first: span.first.min(from), last: span.last.max(now) },
            None => Span { first: from, last: now },
        });
    }

    /// Nobody can tell when the item is touched: it lives all the time.
    pub fn escape(&mut self, item: usize) {
        if let Some(item) = self.items.get_mut(item) {
            item.everywhere = true;
        }
    }

    /// How long an item lives; `None` if nobody touches it. Loops must be closed.
    pub fn span(&self, item: usize) -> Option<Span> {
        let item = self.items.get(item)?;
        if item.everywhere { Some(Span { first: 0, last: self.now }) } else { item.span }
    }

    /// Whether each thread needs its own.
    pub fn is_private(&self, item: usize) -> bool {
        self.items.get(item).is_some_and(|item| item.private)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_straight_code_are_from_first_to_last_touch() {
        let mut timeline = Timeline::default();
        let (a, b) = (timeline.item(), timeline.item());
        timeline.declare(a);
        timeline.declare(b);
        timeline.step();
        timeline.touch(a);
        timeline.step();
        timeline.touch(a);
        timeline.step();
        timeline.touch(b);
        assert!(!timeline.span(a).unwrap().meets(timeline.span(b).unwrap()));
        assert_eq!(timeline.span(a), Some(Span { first: 1, last: 2 }));
    }

    #[test]
    fn what_is_touched_in_a_loop_lives_as_long_as_the_outermost_loop_after_its_declaration() {
        let mut timeline = Timeline::default();
        let (outside, between, inside) = (timeline.item(), timeline.item(), timeline.item());
        timeline.declare(outside);
        timeline.open_loop(false);
        timeline.declare(between);
        let begin = timeline.now();
        timeline.open_loop(true);
        timeline.declare(inside);
        let inner = timeline.now();
        for item in [outside, between, inside] {
            timeline.step();
            timeline.touch(item);
        }
        timeline.close_loop();
        timeline.close_loop();
        let [outside_span, between_span, inside_span] =
            [outside, between, inside].map(|item| timeline.span(item).unwrap());
        assert_eq!(outside_span.first, begin);
        assert_eq!(between_span.first, inner);
        assert!(outside_span.last > between_span.last && between_span.last > inside_span.last);
        assert_eq!(inside_span.first, inside_span.last);
        assert!(timeline.is_private(inside) && !timeline.is_private(between));
    }

    #[test]
    fn what_escapes_lives_always() {
        let mut timeline = Timeline::default();
        let item = timeline.item();
        timeline.declare(item);
        timeline.escape(item);
        timeline.step();
        assert_eq!(timeline.span(item), Some(Span { first: 0, last: 1 }));
    }
}
