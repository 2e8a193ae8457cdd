//! # explicit_order
//!
//! Writes down the order that a state relies on: where two of its units access one container, one of them writes it,
//! and no path leads from the first to the second, an ordering edge (an empty memlet) joins them.
//!
//! ## Legal when
//! - always: the edges lead from earlier to later in the order in which the state runs already.
//!
//! ## Before
//! ```pelton
//! program reuse(a: f64[4], b: f64[4]) {
//!   transient t: f64[4]
//!   state main {
//!     n0 = access a
//!     n1 = access t
//!     n2 = access t
//!     n3 = access b
//!     n4 = access a
//!     n0 -> n1 : a[0:4]
//!     n2 -> n3 : t[0:4]
//!     n3 -> n4 : b[0:4] other [0:4]
//!   }
//! }
//! ```
//!
//! ## After
//! ```pelton
//! program reuse(a: f64[4], b: f64[4]) {
//!   transient t: f64[4]
//!   state main {
//!     n0 = access a
//!     n1 = access t
//!     n2 = access t
//!     n3 = access b
//!     n4 = access a
//!     n0 -> n1 : a[0:4]
//!     n2 -> n3 : t[0:4]
//!     n3 -> n4 : b[0:4] other [0:4]
//!     n0 -> n2
//!     n0 -> n3
//!   }
//! }
//! ```
//!
//! ## Not applicable
//! ```pelton
//! program straight(a: f64[4], b: f64[4]) {
//!   transient t: f64[4]
//!   state main {
//!     n0 = access a
//!     n1 = access t
//!     n2 = access b
//!     n0 -> n1 : a[0:4]
//!     n1 -> n2 : t[0:4]
//!   }
//! }
//! ```
//!
//! Enables: every rule that moves nodes of a state. Source: DaCe orders by `StateFusion`'s and `OrderIndependent` checks;
//! the explicit form is ours.

use crate::ir::NodeId;
use crate::transform::editor::{Editor, Place};
use crate::transform::order;
use crate::transform::rule::{Site, SiteKind, Stopped, Transformation};

/// The rule.
pub struct ExplicitOrder;

impl Transformation for ExplicitOrder {
    type Match = (Place, Vec<(NodeId, NodeId)>);
    const KIND: SiteKind = SiteKind::State;

    fn find(editor: &mut Editor<'_>, site: Site) -> Option<Self::Match> {
        let Site::State(at) = site else { return None };
        if order::is_explicit(editor, at) {
            return None;
        }
        let missing = order::missing(&editor.view(at)?)?;
        (!missing.is_empty()).then_some((at, missing))
    }

    fn apply(editor: &mut Editor<'_>, (at, missing): Self::Match) -> Result<(), Stopped> {
        for (first, second) in missing {
            editor.order(at, first, second).ok_or(Stopped)?;
        }
        editor.forget_order(at);
        Ok(())
    }
}
