//! Where the loops of maps run, and why: for people.

use hashbrown::HashMap;

use crate::kernel::{Kernel, Stmt, ValueId};

use super::partial;
use super::split::Division;

/// Where a map's loop runs.
#[derive(Clone, PartialEq, Debug)]
pub struct MapReport {
    /// From the outside in: graph, state, node.
    pub place: Vec<String>,
    /// The map's parameter.
    pub parameter: String,
    /// None: on the device; else why not.
    pub host: Option<String>,
    /// Iterations below which it is the host's all the same.
    pub least: i64,
}

/// A loop, and those around it.
struct Loop {
    is_parallel: bool,
    /// From the outside in.
    around: Vec<ValueId>,
}

/// All maps of a kernel that was divided, in the program's order.
pub(super) fn maps(kernel: &Kernel, division: &Division) -> Vec<MapReport> {
    let loops = loops(kernel);
    let report = |map: &crate::kernel::MapLoop| MapReport {
        place: map.place.clone(),
        parameter: map.parameter.clone(),
        host: reason(kernel, division, &loops, map.variable),
        least: if division.reduced.contains(&map.variable) { partial::LEAST } else { 0 },
    };
    kernel.maps.iter().map(report).collect()
}

/// Why a loop stays on the host.
fn reason(
    kernel: &Kernel,
    division: &Division,
    loops: &HashMap<ValueId, Loop>,
    variable: ValueId,
) -> Option<String> {
    if division.on_device.contains(&variable) {
        return None;
    }
    if let Some(reason) = division.refused.get(&variable) {
        return Some(reason.clone());
    }
    if division.fast_only.contains(&variable) {
        return Some(
            "it accumulates floats in one place, which strict mode does one after the other; --mode fast spreads that over threads"
                .to_owned(),
        );
    }
    let known = loops.get(&variable);
    // A loop that may be a launch is one as a whole, with all that is in it.
    let whole = known.and_then(|known| {
        let refused = |around: &ValueId| Some((*around, division.refused.get(around)?));
        known.around.iter().find_map(refused)
    });
    if let Some((outer, reason)) = whole {
        let map = |wanted: ValueId| kernel.maps.iter().find(|map| map.variable == wanted);
        let (here, there) = (map(variable), map(outer));
        if here.zip(there).is_some_and(|(here, there)| here.place == there.place) {
            return Some(reason.clone());
        }
        let name = there.map_or(String::new(), |map| format!(" over {}", map.parameter));
        return Some(format!("it is part of the loop{name}, which stays there as a whole: {reason}"));
    }
    if let Some(serial) = kernel.serial.iter().find(|serial| serial.variable == variable) {
        return Some(serial.reason.to_owned());
    }
    Some(match known {
        Some(known) if !known.is_parallel => "the program says that its iterations are in order".to_owned(),
        _ => "a loop around it stays there".to_owned(),
    })
}

/// Every loop of the kernel.
fn loops(kernel: &Kernel) -> HashMap<ValueId, Loop> {
    let mut found = HashMap::new();
    let mut open: Vec<(&[Stmt], Vec<ValueId>)> = vec![(&kernel.body, Vec::new())];
    while let Some((list, around)) = open.pop() {
        for stmt in list {
            let mut inside = around.clone();
            if let Stmt::For { variable, order, .. } = stmt {
                found.insert(*variable, Loop { is_parallel: order.may_change(), around: around.clone() });
                inside.push(*variable);
            }
            open.extend(stmt.lists().iter().map(|list| (*list, inside.clone())));
        }
    }
    found
}
