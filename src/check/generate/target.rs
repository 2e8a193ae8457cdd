//! Where a statement of a map may write, and at which index.

use super::parts::{Class, Container, Extent};
use super::scope::Generator;

/// A place to write.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub container: Container,
    pub index: String,
    /// Every element is written if every iteration runs.
    pub complete: bool,
}

impl Generator<'_, '_> {
    /// A container that this map may write at one element per iteration.
    pub fn target(&mut self) -> Option<Target> {
        let mut fitting = Vec::new();
        for container in self.containers.clone() {
            if container.fixed || container.scalar {
                continue;
            }
            if let Some(target) = self.one_element_per_iteration(&container) {
                fitting.push(target);
            }
        }
        // A new one now and then, and when there is none.
        if fitting.is_empty() || self.choices.chance(35) {
            let params = self.map_params();
            if params.is_empty() || self.params.iter().any(|param| param.map && param.below.is_some()) {
                return self.choices.pick(&fitting).cloned();
            }
            let dtype = self.dtype();
            let (names, dims): (Vec<String>, Vec<Extent>) = params.into_iter().unzip();
            let name = self.transient(dtype, dims);
            let container = self.container(&name)?.clone();
            return Some(Target { container, index: names.join(", "), complete: true });
        }
        self.choices.pick(&fitting).cloned()
    }

    /// Parameters of the maps around, with their extents.
    fn map_params(&self) -> Vec<(String, Extent)> {
        let of_maps = self.params.iter().filter(|param| param.map);
        of_maps.map(|param| (param.name.clone(), param.extent.clone())).collect()
    }

    /// The index that gives each iteration an element of its own.
    fn one_element_per_iteration(&mut self, container: &Container) -> Option<Target> {
        let params = self.map_params();
        let mut index: Vec<Option<String>> = vec![None; container.dims.len()];
        if let (Some(pinned), Some(slot)) = (&container.pinned, index.first_mut()) {
            *slot = Some(pinned.clone());
        }
        let turned = self.choices.chance(20);
        for (name, extent) in &params {
            if container.pinned.as_ref() == Some(name) {
                continue;
            }
            let free = |dim: &usize| index[*dim].is_none() && container.dims[*dim] == *extent;
            let dim = match turned {
                true => (0..index.len()).rev().find(free)?,
                false => (0..index.len()).find(free)?,
            };
            index[dim] = Some(name.clone());
        }
        let complete = index.iter().all(Option::is_some);
        let index: Vec<String> = index
            .into_iter()
            .zip(&container.dims)
            .map(|(part, extent)| part.unwrap_or_else(|| self.constant_index(extent)))
            .collect();
        let target = Target { container: container.clone(), index: index.join(", "), complete };
        self.is_free(&target).then_some(target)
    }

    /// The target, remembered as written; `None` if writing it would now be a race.
    pub fn confirmed(&mut self, target: Target) -> Option<Target> {
        if !self.is_free(&target) {
            return None;
        }
        if let Some(map) = &mut self.map {
            map.writes.push((target.container.name.clone(), target.index.clone()));
        }
        Some(target)
    }

    fn is_free(&self, target: &Target) -> bool {
        let Some(map) = &self.map else { return true };
        let name = &target.container.name;
        let same = |list: &[(String, String)]| {
            list.iter().filter(|(other, _)| other == name).all(|(_, index)| *index == target.index)
        };
        !map.resolved.contains(name) && (!map.parallel || (same(&map.reads) && same(&map.writes)))
    }

    /// Some index below an extent.
    pub fn index(&mut self, extent: &Extent) -> String {
        let usable: Vec<usize> =
            (0..self.params.len()).filter(|&at| self.params[at].extent == *extent).collect();
        if let (Some(&at), true) = (self.choices.pick(&usable), !self.choices.chance(8)) {
            return self.moved(at);
        }
        // Every second element of `2*N`, and both neighbours in `N + 1`.
        for at in 0..self.params.len() {
            let param = &self.params[at];
            if extent.text == format!("2*{}", param.extent.text) {
                return format!("2*{}{}", param.name, ["", " + 1"][self.choices.below(2)]);
            }
            if extent.text == format!("{} + 1", param.extent.text) {
                return format!("{}{}", param.name, [" + 1", ""][self.choices.below(2)]);
            }
        }
        self.constant_index(extent)
    }

    fn moved(&mut self, at: usize) -> String {
        let param = &mut self.params[at];
        let name = param.name.clone();
        let offset = match self.choices.weighted(&[10, 3, 3, 1, 1, 1]) {
            1 => -1,
            2 => 1,
            3 => -2,
            4 => 2,
            5 => return format!("{} - 1 - {name}", param.extent.text),
            _ => 0,
        };
        let (low, high) = (param.low.max(-offset), param.high.max(offset));
        if offset == 0 || param.exact || low + high >= param.extent.value {
            return name;
        }
        (param.low, param.high) = (low, high);
        if offset < 0 { format!("{name} - {}", -offset) } else { format!("{name} + {offset}") }
    }

    fn constant_index(&mut self, extent: &Extent) -> String {
        match (extent.literal, self.choices.chance(30)) {
            (true, _) => self.choices.below(extent.value.max(1) as usize).to_string(),
            (false, true) => format!("{} - 1", extent.text),
            (false, false) => "0".to_owned(),
        }
    }

    /// A ready container of plain reals that nothing keeps from being used whole.
    pub fn whole_real(&mut self, rank: usize) -> Option<Container> {
        let fitting: Vec<Container> = self
            .containers
            .iter()
            .filter(|container| {
                container.ready
                    && container.pinned.is_none()
                    && container.dims.len() == rank
                    && Class::of(container.dtype) == Class::Real
            })
            .cloned()
            .collect();
        self.choices.pick(&fitting).cloned()
    }
}
