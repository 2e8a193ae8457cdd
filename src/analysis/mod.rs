//! Questions about a graph: scopes and memlet paths.

pub mod paths;
pub mod propagate;
pub mod scopes;

pub use paths::MemletPaths;
pub use scopes::ScopeTree;
