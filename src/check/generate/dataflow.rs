//! States in the short form: maps, tasklets, assignments, copies.

use std::fmt::Write;

use crate::scalar::DType;

use super::code::{Port, Reads};
use super::parts::{Class, Container, Extent, Param};
use super::scope::{Generator, MapUse};

const OPERATORS: [&str; 4] = ["+=", "max=", "min=", "*="];

impl Generator<'_, '_> {
    /// A state of one to three statements.
    pub fn dataflow_state(&mut self, out: &mut String) {
        let label = self.fresh("s");
        let _ = writeln!(out, "state {label} {{");
        for _ in 0..1 + self.choices.below(3) {
            self.statement(out);
            self.budget = self.budget.saturating_sub(1);
            if self.budget == 0 {
                break;
            }
        }
        out.push_str("}\n");
    }

    fn statement(&mut self, out: &mut String) {
        match self.choices.weighted(&[14, 2, 2]) {
            0 => self.map(out, 0),
            1 => self.single_tasklet(out),
            _ => self.copy(out),
        }
    }

    /// A map over the extents of something that exists.
    pub fn map(&mut self, out: &mut String, depth: usize) {
        let extents = self.extents_to_run_over();
        let exact = self.choices.chance(40);
        let parallel = !self.choices.chance(20);
        let first = self.params.len();
        for extent in extents {
            let name = self.fresh("i");
            let strided = !exact && self.choices.chance(6);
            let mut param = Param {
                name,
                extent,
                low: 0,
                high: 0,
                exact: exact || strided,
                below: None,
                step: if strided { 2 } else { 1 },
                map: true,
            };
            let outer = self.params[first..].iter().find(|p| p.extent == param.extent && p.below.is_none());
            if let (Some(outer), true) = (outer, self.choices.chance(10)) {
                param.below = Some(outer.name.clone());
                param.exact = true;
            }
            self.params.push(param);
        }
        let outermost = self.map.is_none();
        if outermost {
            self.map = Some(MapUse { parallel, ..MapUse::default() });
        }
        let mut body = String::new();
        let known = self.containers.len();
        let mut written = Vec::new();
        for _ in 0..1 + self.choices.weighted(&[6, 3, 1]) {
            if depth < 1 && self.choices.chance(8) {
                self.map(&mut body, depth + 1);
            } else {
                written.extend(self.body_statement(&mut body));
            }
        }
        let full = self.params.iter().filter(|param| param.map).all(Param::is_full);
        let ranges: Vec<String> =
            self.params[first..].iter().map(|param| format!("{} in {}", param.name, param.range())).collect();
        // What depends on what inside a map in order may depend on it in a map that says nothing.
        let in_order = self.map.as_ref().is_some_and(|map| !map.parallel);
        let schedule = match (parallel, self.choices.below(3)) {
            (false, _) => " sequential",
            (true, 1) if !in_order || outermost => " parallel",
            (true, _) => "",
        };
        let _ = writeln!(out, "map {}{schedule} {{\n{body}}}", ranges.join(", "));
        let closed: Vec<String> = self.params.drain(first..).map(|param| param.name).collect();
        if outermost {
            self.map = None;
        } else if let Some(map) = &mut self.map {
            // What was written at an index of the inner map cannot be met again behind it.
            let names_closed = |index: &str| {
                index
                    .split(|letter: char| !letter.is_alphanumeric())
                    .any(|word| closed.iter().any(|name| name == word))
            };
            let lost =
                map.writes.iter().filter(|(_, index)| names_closed(index)).map(|(name, _)| name.clone());
            map.resolved.extend(lost.collect::<Vec<_>>());
        }
        // What a map defines it defines for what follows, if it met every index.
        for (name, complete) in written {
            if complete && full && self.params.iter().all(|param| !param.map) {
                self.set_ready(&name);
            }
        }
        // Numbers local to an iteration are gone.
        for container in self.containers[known..].iter_mut().filter(|container| container.scalar) {
            container.ready = false;
            container.fixed = true;
        }
    }

    /// The extents of a container, of some of its dimensions, or new ones.
    fn extents_to_run_over(&mut self) -> Vec<Extent> {
        let arrays: Vec<usize> = (0..self.containers.len())
            .filter(|&at| !self.containers[at].scalar && self.containers[at].pinned.is_none())
            .collect();
        let recent = arrays.len().saturating_sub(2);
        let like = match self.choices.chance(60) {
            true => self.choices.pick(&arrays[recent..]),
            false => self.choices.pick(&arrays),
        };
        let mut extents = match like {
            Some(&at) => self.containers[at].dims.clone(),
            None => vec![self.extent()],
        };
        if extents.len() > 1 && self.choices.chance(20) {
            let drop = self.choices.below(extents.len());
            extents.remove(drop);
        }
        let around = self.params.iter().filter(|param| param.map).count();
        extents.truncate(3usize.saturating_sub(around).max(1));
        if self.choices.chance(5) && extents.len() < 3 {
            let extra = self.extent();
            extents.push(extra);
        }
        extents
    }

    /// One statement of a map's body. Says what it writes, and whether that is complete if the map is.
    fn body_statement(&mut self, out: &mut String) -> Vec<(String, bool)> {
        match self.choices.weighted(&[8, 4, 2, 2, 2, 1]) {
            1 => self.tasklet(out),
            2 => self.gather(out),
            3 => self.local(out),
            4 => self.resolve(out),
            5 => self.scatter(out),
            _ => self.assignment(out),
        }
    }

    fn assignment(&mut self, out: &mut String) -> Vec<(String, bool)> {
        let depth = 1 + self.choices.below(3);
        let Some(target) = self.target() else { return self.resolve(out) };
        let code = self.expression(Class::of(target.container.dtype), depth, &mut Reads::Inline);
        // The expression may have read other elements of the target.
        let Some(target) = self.confirmed(target) else { return self.discarded(out, &code) };
        let _ = writeln!(out, "  {}[{}] = {code}", target.container.name, target.index);
        vec![(target.container.name, target.complete)]
    }

    /// Code without a place for its value goes to a new array.
    fn discarded(&mut self, out: &mut String, code: &str) -> Vec<(String, bool)> {
        let dims: Vec<Extent> =
            self.params.iter().filter(|param| param.map).map(|param| param.extent.clone()).collect();
        let index: Vec<String> =
            self.params.iter().filter(|param| param.map).map(|param| param.name.clone()).collect();
        let name = self.transient(DType::F64, dims);
        let index = index.join(", ");
        let _ = writeln!(out, "  {name}[{index}] = {code}");
        if let Some(map) = &mut self.map {
            map.writes.push((name.clone(), index));
        }
        vec![(name, true)]
    }

    /// Conflict resolution into anything that is not used otherwise here.
    fn resolve(&mut self, out: &mut String) -> Vec<(String, bool)> {
        let usable = |container: &Container, map: &MapUse| {
            let used = |list: &[(String, String)]| list.iter().any(|(name, _)| *name == container.name);
            container.ready
                && !container.fixed
                && !matches!(Class::of(container.dtype), Class::Boolean)
                && !used(&map.reads)
                && !used(&map.writes)
                && !map.resolved.contains(&container.name)
        };
        let map = self.map.clone().unwrap_or_default();
        let candidates: Vec<Container> =
            self.containers.iter().filter(|container| usable(container, &map)).cloned().collect();
        let Some(target) = self.choices.pick(&candidates).cloned() else { return self.discarded(out, "0.5") };
        if let Some(map) = &mut self.map {
            map.resolved.push(target.name.clone());
        }
        let class = Class::of(target.dtype);
        let operators = if class == Class::Complex { 1 } else { OPERATORS.len() };
        let operator = OPERATORS[self.choices.below(operators)];
        let depth = self.choices.below(2);
        let code = self.expression(class, depth, &mut Reads::Inline);
        let index: Vec<String> = target
            .dims
            .iter()
            .enumerate()
            .map(|(dim, extent)| match &target.pinned {
                Some(pinned) if dim == 0 => pinned.clone(),
                _ => self.index(extent),
            })
            .collect();
        let place =
            if target.scalar { target.name } else { format!("{}[{}]", target.name, index.join(", ")) };
        let _ = writeln!(out, "  {place} {operator} {code}");
        Vec::new()
    }

    /// A number of the iteration's own, used by what follows.
    fn local(&mut self, out: &mut String) -> Vec<(String, bool)> {
        let dtype = self.dtype();
        let code = self.expression(Class::of(dtype), 2, &mut Reads::Inline);
        let name = self.transient(dtype, Vec::new());
        let _ = writeln!(out, "  {name} = {code}");
        if let Some(map) = &mut self.map {
            map.writes.push((name.clone(), "0".to_owned()));
        }
        self.set_ready(&name);
        if let Some(target) = self.target().and_then(|target| self.confirmed(target)) {
            let _ = writeln!(out, "  {}[{}] = {name} + {name}", target.container.name, target.index);
            return vec![(target.container.name, target.complete)];
        }
        self.discarded(out, &name)
    }

    /// A tasklet of several statements, with one or two results.
    fn tasklet(&mut self, out: &mut String) -> Vec<(String, bool)> {
        let Some(target) = self.target() else { return self.resolve(out) };
        let class = Class::of(target.container.dtype);
        let mut ports = Vec::new();
        let mut lines = Vec::new();
        let local_class = if class == Class::Complex { Class::Real } else { class };
        let first = self.expression(local_class, 2, &mut Reads::Ports(&mut ports));
        lines.push(format!("v = {first}"));
        let changed = self.expression(local_class, 1, &mut Reads::Ports(&mut ports));
        match self.choices.below(4) {
            0 => lines.push(format!("w = {changed}\nv = v + w")),
            1 => {
                let condition = self.boolean(1, &mut Reads::Ports(&mut ports));
                lines.push(format!("if {condition}:\n    v = {changed}"));
            }
            2 => {
                let condition = self.boolean(0, &mut Reads::Ports(&mut ports));
                lines.push(format!("if {condition}:\n    v = v - {changed}\nelse:\n    v = {changed}"));
            }
            _ => lines.push(format!("for q in range({}):\n    v = v + {changed}", 1 + self.choices.below(3))),
        }
        if self.choices.chance(10)
            && let Some(constant) = self.constant(class)
        {
            lines.push(format!("v = v + {constant}"));
        }
        let dynamic = target.container.ready && self.choices.chance(12);
        if dynamic {
            let condition = self.boolean(1, &mut Reads::Ports(&mut ports));
            lines.push(format!("if {condition}:\n    o = v"));
        } else {
            lines.push("o = v".to_owned());
        }
        let Some(target) = self.confirmed(target) else { return self.discarded(out, "0.25") };
        let flag = if dynamic { " dynamic" } else { "" };
        let output = format!("o -> {}[{}]{flag}", target.container.name, target.index);
        self.write_tasklet(out, &ports, &output, &lines.join("\n"));
        vec![(target.container.name, target.complete && !dynamic)]
    }

    fn write_tasklet(&mut self, out: &mut String, ports: &[Port], output: &str, code: &str) {
        let label = self.fresh("f");
        let inputs: Vec<String> =
            ports.iter().map(|port| format!("{} <- {}", port.connector, port.memlet)).collect();
        let _ = writeln!(out, "  tasklet {label}({}) -> ({output}) {{", inputs.join(", "));
        for line in code.lines() {
            let _ = writeln!(out, "    | {line}");
        }
        out.push_str("  }\n");
    }

    /// Reads an array at a place that a table gives.
    fn gather(&mut self, out: &mut String) -> Vec<(String, bool)> {
        let tables: Vec<Container> =
            self.containers.iter().filter(|container| container.table_of.is_some()).cloned().collect();
        let Some(table) = self.choices.pick(&tables).cloned() else { return self.assignment(out) };
        let map = self.map.clone().unwrap_or_default();
        let written =
            |name: &str| map.resolved.iter().chain(map.writes.iter().map(|(n, _)| n)).any(|n| n == name);
        let sources: Vec<Container> = self
            .containers
            .iter()
            .filter(|container| {
                container.ready
                    && container.pinned.is_none()
                    && Class::of(container.dtype) == Class::Real
                    && container.dims.first() == table.table_of.as_ref()
                    && !written(&container.name)
            })
            .cloned()
            .collect();
        let Some(source) = self.choices.pick(&sources).cloned() else { return self.assignment(out) };
        let index: Vec<String> = table.dims.iter().map(|extent| self.index(extent)).collect();
        if let Some(map) = &mut self.map {
            map.reads.push((source.name.clone(), "*".to_owned()));
        }
        let zeros = ", 0".repeat(source.dims.len() - 1);
        let Some(target) = self.target().and_then(|target| self.confirmed(target)) else {
            return self.resolve(out);
        };
        let ports = [
            Port { connector: "x".into(), memlet: source.whole(), class: Class::Real },
            Port {
                connector: "at".into(),
                memlet: format!("{}[{}]", table.name, index.join(", ")),
                class: Class::Integer,
            },
        ];
        let whole = source.dims.iter().all(|extent| extent.literal && extent.value == 1);
        let code = if whole { "o = x * 2".to_owned() } else { format!("o = x[at{zeros}] * 2") };
        let output = format!("o -> {}[{}]", target.container.name, target.index);
        self.write_tasklet(out, &ports, &output, &code);
        vec![(target.container.name, target.complete)]
    }

    /// Writes an array at places that a table gives, one iteration after another.
    fn scatter(&mut self, out: &mut String) -> Vec<(String, bool)> {
        let map = self.map.clone().unwrap_or_default();
        let tables: Vec<Container> =
            self.containers.iter().filter(|container| container.table_of.is_some()).cloned().collect();
        let Some(table) = self.choices.pick(&tables).filter(|_| !map.parallel).cloned() else {
            return self.assignment(out);
        };
        let used = |name: &str| {
            let known = map.reads.iter().chain(&map.writes).map(|(name, _)| name).chain(&map.resolved);
            known.into_iter().any(|known| known == name)
        };
        let several = |extent: &Extent| !extent.literal || extent.value > 1;
        let targets: Vec<Container> = self
            .containers
            .iter()
            .filter(|target| target.ready && !target.fixed && target.pinned.is_none() && !used(&target.name))
            .filter(|target| Class::of(target.dtype) == Class::Real && target.dims.len() == 1)
            .filter(|target| {
                target.dims.first() == table.table_of.as_ref() && target.dims.iter().all(several)
            })
            .cloned()
            .collect();
        let Some(target) = self.choices.pick(&targets).cloned() else { return self.assignment(out) };
        if let Some(map) = &mut self.map {
            map.resolved.push(target.name.clone());
        }
        let index: Vec<String> = table.dims.iter().map(|extent| self.index(extent)).collect();
        let mut ports = Vec::new();
        let value = self.expression(Class::Real, 1, &mut Reads::Ports(&mut ports));
        let memlet = format!("{}[{}]", table.name, index.join(", "));
        ports.push(Port { connector: "at".into(), memlet, class: Class::Integer });
        let output = format!("o -> {} dynamic", target.whole());
        self.write_tasklet(out, &ports, &output, &format!("o[at] = {value}"));
        Vec::new()
    }

    /// A tasklet outside any map.
    fn single_tasklet(&mut self, out: &mut String) {
        let targets: Vec<Container> = self
            .containers
            .iter()
            .filter(|container| !container.fixed && container.pinned.is_none())
            .cloned()
            .collect();
        let target = match self.choices.pick(&targets) {
            Some(target) if self.choices.chance(50) => target.clone(),
            _ => {
                let dtype = self.dtype();
                let name = self.transient(dtype, Vec::new());
                match self.container(&name) {
                    Some(container) => container.clone(),
                    None => return,
                }
            }
        };
        let code = self.expression(Class::of(target.dtype), 2, &mut Reads::Inline);
        if target.scalar {
            let _ = writeln!(out, "{} = {code}", target.name);
            self.set_ready(&target.name);
        } else {
            let index: Vec<String> = target.dims.iter().map(|extent| self.index(extent)).collect();
            let _ = writeln!(out, "{}[{}] = {code}", target.name, index.join(", "));
        }
    }

    /// All of one container to another of the same shape, or to a new one.
    fn copy(&mut self, out: &mut String) {
        let sources: Vec<Container> = self
            .containers
            .iter()
            .filter(|container| container.ready && !container.scalar && container.pinned.is_none())
            .cloned()
            .collect();
        let Some(source) = self.choices.pick(&sources).cloned() else { return self.single_tasklet(out) };
        let row = source.dims.len() > 1 && self.choices.chance(30);
        if row {
            let at = self.index(&source.dims[0]);
            let dims = source.dims[1..].to_vec();
            let from: Vec<String> = dims.iter().map(|extent| format!("0:{}", extent.text)).collect();
            let name = self.transient(source.dtype, dims);
            let _ =
                writeln!(out, "copy {}[{at}, {rest}] -> {name}[{rest}]", source.name, rest = from.join(", "));
            self.set_ready(&name);
            return;
        }
        if let Some(dim) = source.dims.iter().position(|extent| extent.part().is_some())
            && self.choices.chance(40)
        {
            return self.copy_of_part(out, &source, dim);
        }
        let targets: Vec<Container> = self
            .containers
            .iter()
            .filter(|container| {
                !container.fixed && container.name != source.name && container.dims == source.dims
            })
            .filter(|container| container.pinned.is_none())
            .filter(|container| source.dtype.is_complex() <= container.dtype.is_complex())
            .cloned()
            .collect();
        let target = match self.choices.pick(&targets) {
            Some(target) if self.choices.chance(60) => target.clone(),
            _ => {
                let name = self.transient(source.dtype, source.dims.clone());
                match self.container(&name) {
                    Some(container) => container.clone(),
                    None => return,
                }
            }
        };
        let _ = writeln!(out, "copy {} -> {}", source.whole(), target.whole());
        self.set_ready(&target.name);
    }

    /// Every second element along a dimension, or all but the first or last, to a new container.
    fn copy_of_part(&mut self, out: &mut String, source: &Container, dim: usize) {
        let Some((base, range)) = source.dims[dim].part() else { return };
        let mut dims = source.dims.clone();
        dims[dim] = base;
        let mut from: Vec<String> = source.dims.iter().map(|extent| format!("0:{}", extent.text)).collect();
        from[dim] = range[self.choices.below(range.len())].clone();
        let to: Vec<String> = dims.iter().map(|extent| format!("0:{}", extent.text)).collect();
        let name = self.transient(source.dtype, dims);
        let _ = writeln!(out, "copy {}[{}] -> {name}[{}]", source.name, from.join(", "), to.join(", "));
        self.set_ready(&name);
    }
}
