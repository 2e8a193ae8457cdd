//! Nothing: this crate only has dependencies.
//!
//! Cargo compiles a dependency once per set of features. `cargo run`, `cargo test` and the Python package ask for different sets,
//! so each would compile most of what Pelton depends on, and Pelton, again. Both packages depend on this one instead, which asks
//! for all of them.
