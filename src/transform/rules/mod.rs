//! One file per transformation; [`super::rule::RULES`] lists them.

pub mod dead_dataflow;
pub mod empty_range;
pub mod explicit_order;
pub mod inline_nested;
pub mod keep_transients;
pub mod loop_nest_to_map;
pub mod loop_to_map;
pub mod map_collapse;
pub mod map_dimension_order;
pub mod map_fusion_horizontal;
pub mod map_fusion_vertical;
pub mod reduce_to_map;
pub mod redundant_copy_in;
pub mod redundant_copy_out;
pub mod split_transients;
pub mod state_fusion;
pub mod trivial_loop;
pub mod trivial_map_dimension;
