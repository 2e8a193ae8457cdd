//! Questions about a graph: scopes and memlet paths.

pub mod components;
pub mod liveness;
pub mod paths;
pub mod propagate;
pub mod scopes;
pub mod uses;
pub mod views;

pub use paths::MemletPaths;
pub use scopes::ScopeTree;
pub use uses::Uses;
pub use views::viewed_edge;
