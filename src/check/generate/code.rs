//! Scalar code: expressions over what is in reach, and the reads they need.

use super::parts::{Class, Container};
use super::scope::Generator;

/// How an expression reads memory.
pub(super) enum Reads<'r> {
    /// In place: `a[i, j]`.
    Inline,
    /// Through connectors, which are collected with their memlets.
    Ports(&'r mut Vec<Port>),
}

/// A connector with what it reads.
#[derive(Clone, Debug)]
pub(super) struct Port {
    pub connector: String,
    pub memlet: String,
    pub class: Class,
}

const REAL_LITERALS: [&str; 8] = ["0.5", "1.25", "2.0", "-0.75", "3", "0.1", "1e-3", "0.0"];
const INTEGER_LITERALS: [&str; 7] = ["1", "2", "-1", "3", "7", "-5", "100"];

impl Generator<'_, '_> {
    /// An expression whose value a container of that class can take.
    pub fn expression(&mut self, class: Class, depth: usize, reads: &mut Reads<'_>) -> String {
        match class {
            Class::Real => self.real(depth, reads),
            Class::Integer => self.integer(depth, reads),
            Class::Boolean => self.boolean(depth, reads),
            Class::Complex => self.complex(depth, reads),
        }
    }

    fn real(&mut self, depth: usize, reads: &mut Reads<'_>) -> String {
        if depth == 0 {
            return self.real_leaf(reads);
        }
        let deeper = depth - 1;
        match self.choices.weighted(&[3, 6, 5, 5, 3, 3, 2, 5, 1, 1]) {
            0 => self.real_leaf(reads),
            1 => format!("({} + {})", self.real(deeper, reads), self.real(deeper, reads)),
            2 => format!("({} - {})", self.real(deeper, reads), self.real(deeper, reads)),
            3 => format!("({} * {})", self.real(deeper, reads), self.real(deeper, reads)),
            4 => {
                let name = ["min", "max"][self.choices.below(2)];
                format!("{name}({}, {})", self.real(deeper, reads), self.real(deeper, reads))
            }
            5 => {
                let condition = self.boolean(deeper, reads);
                format!("({} if {condition} else {})", self.real(deeper, reads), self.real(deeper, reads))
            }
            6 => format!("({} / ({} + 1.5))", self.real(deeper, reads), self.squared(reads)),
            7 => self.real_function(deeper, reads),
            8 => self.integer(deeper, reads),
            _ => format!("(-{})", self.real(deeper, reads)),
        }
    }

    fn squared(&mut self, reads: &mut Reads<'_>) -> String {
        let leaf = self.real_leaf(reads);
        format!("{leaf} * {leaf}")
    }

    fn real_function(&mut self, depth: usize, reads: &mut Reads<'_>) -> String {
        let x = self.real(depth, reads);
        match self.choices.below(16) {
            0 => format!("abs({x})"),
            1 => format!("sqrt(abs({x}))"),
            2 => format!("exp(min({x}, 3.0))"),
            3 => format!("log(abs({x}) + 0.5)"),
            4 => format!("sin({x})"),
            5 => format!("cos({x})"),
            6 => format!("tanh({x})"),
            7 => format!("floor({x})"),
            8 => format!("({x}) ** 2"),
            9 => format!("atan2({x}, {})", self.real_leaf(reads)),
            10 => format!("ceil({x})"),
            11 => format!("copysign({x}, {})", self.real_leaf(reads)),
            12 => format!("pow(abs({x}) + 0.25, 0.7)"),
            13 => format!("round({x})"),
            14 => format!("fmod({x}, 2.5)"),
            _ => format!("({x}) ** 3"),
        }
    }

    fn integer(&mut self, depth: usize, reads: &mut Reads<'_>) -> String {
        if depth == 0 {
            return self.integer_leaf(reads);
        }
        let deeper = depth - 1;
        match self.choices.weighted(&[3, 5, 4, 3, 2, 2, 2, 3, 2, 1, 1]) {
            0 => self.integer_leaf(reads),
            1 => format!("({} + {})", self.integer(deeper, reads), self.integer(deeper, reads)),
            2 => format!("({} - {})", self.integer(deeper, reads), self.integer(deeper, reads)),
            3 => format!("({} * {})", self.integer(deeper, reads), self.integer(deeper, reads)),
            4 => format!("({} // {})", self.integer(deeper, reads), 2 + self.choices.below(5)),
            5 => format!("({} % {})", self.integer(deeper, reads), 2 + self.choices.below(7)),
            6 => {
                let op = ["&", "|", "^"][self.choices.below(3)];
                format!("({} {op} {})", self.integer(deeper, reads), self.integer(deeper, reads))
            }
            7 => {
                let condition = self.boolean(deeper, reads);
                format!(
                    "({} if {condition} else {})",
                    self.integer(deeper, reads),
                    self.integer(deeper, reads)
                )
            }
            8 => {
                let name = ["min", "max"][self.choices.below(2)];
                format!("{name}({}, {})", self.integer(deeper, reads), self.integer(deeper, reads))
            }
            9 => format!("abs({})", self.integer(deeper, reads)),
            _ => {
                let op = ["<<", ">>"][self.choices.below(2)];
                format!("({} {op} {})", self.integer(deeper, reads), self.choices.below(4))
            }
        }
    }

    /// A condition.
    pub fn boolean(&mut self, depth: usize, reads: &mut Reads<'_>) -> String {
        if depth > 0 && self.choices.chance(25) {
            let deeper = depth - 1;
            return match self.choices.below(3) {
                0 => format!("({} and {})", self.boolean(deeper, reads), self.boolean(deeper, reads)),
                1 => format!("({} or {})", self.boolean(deeper, reads), self.boolean(deeper, reads)),
                _ => format!("(not {})", self.boolean(deeper, reads)),
            };
        }
        // Iterations are compared with small numbers, so that both sides are equal now and then.
        if let (Some(param), true) = (self.params.last(), self.choices.chance(15)) {
            let name = param.name.clone();
            let op = ["<", ">", "<=", ">="][self.choices.below(4)];
            return format!("({name} {op} {})", self.choices.below(3));
        }
        let deeper = depth.saturating_sub(1).min(1);
        let class = [Class::Real, Class::Integer][self.choices.below(2)];
        let op = ["<", ">", "<=", ">=", "==", "!="][self.choices.below(6)];
        format!("({} {op} {})", self.expression(class, deeper, reads), self.expression(class, deeper, reads))
    }

    fn complex(&mut self, depth: usize, reads: &mut Reads<'_>) -> String {
        if depth == 0 || self.choices.chance(20) {
            let read = self.read(&[Class::Complex], reads);
            return read.unwrap_or_else(|| self.real_leaf(reads));
        }
        let deeper = depth - 1;
        let op = ["+", "-", "*"][self.choices.below(3)];
        format!("({} {op} {})", self.complex(deeper, reads), self.complex(deeper, reads))
    }

    fn real_leaf(&mut self, reads: &mut Reads<'_>) -> String {
        if self.choices.chance(80) || matches!(reads, Reads::Ports(_)) {
            let classes =
                if self.choices.chance(15) { &[Class::Integer, Class::Boolean][..] } else { &[Class::Real] };
            if let Some(read) = self.read(classes, reads) {
                return read;
            }
        }
        let literal = self.choices.below(REAL_LITERALS.len());
        let literal = REAL_LITERALS[literal];
        if literal.starts_with('-') { format!("({literal})") } else { literal.to_owned() }
    }

    fn integer_leaf(&mut self, reads: &mut Reads<'_>) -> String {
        match self.choices.weighted(&[8, 3, 2, 2]) {
            0 => {
                if let Some(read) = self.read(&[Class::Integer], reads) {
                    return read;
                }
            }
            2 if !self.params.is_empty() => {
                let param = self.choices.below(self.params.len());
                return self.params[param].name.clone();
            }
            3 => {
                let symbols: Vec<String> = self
                    .sizes
                    .iter()
                    .map(|size| size.text.clone())
                    .chain(self.symbols.iter().cloned())
                    .collect();
                if let Some(symbol) = self.choices.pick(&symbols) {
                    return symbol.clone();
                }
            }
            _ => {}
        }
        let literal = self.choices.below(INTEGER_LITERALS.len());
        let literal = INTEGER_LITERALS[literal];
        if literal.starts_with('-') { format!("({literal})") } else { literal.to_owned() }
    }

    /// One element of a container of those classes.
    fn read(&mut self, classes: &[Class], reads: &mut Reads<'_>) -> Option<String> {
        if let Reads::Ports(ports) = reads {
            let known: Vec<&Port> = ports.iter().filter(|port| classes.contains(&port.class)).collect();
            if ports.len() >= 4 || (!known.is_empty() && self.choices.chance(50)) {
                return self.choices.pick(&known).map(|port| port.connector.clone());
            }
        }
        let candidates: Vec<usize> = (0..self.containers.len())
            .filter(|&at| {
                let container = &self.containers[at];
                container.ready
                    && container.table_of.is_none()
                    && classes.contains(&Class::of(container.dtype))
            })
            .collect();
        // The newest are picked more often, so that values flow.
        let recent = candidates.len().saturating_sub(3);
        let at = match self.choices.chance(50) {
            true => *self.choices.pick(&candidates[recent..])?,
            false => *self.choices.pick(&candidates)?,
        };
        let container = self.containers[at].clone();
        let index = self.index_to_read(&container)?;
        let memlet = format!("{}[{index}]", container.name);
        if let Some(map) = &mut self.map {
            map.reads.push((container.name.clone(), index));
        }
        match reads {
            Reads::Inline if container.scalar => Some(container.name),
            Reads::Inline => Some(memlet),
            Reads::Ports(ports) => {
                if let Some(known) = ports.iter().find(|port| port.memlet == memlet) {
                    return Some(known.connector.clone());
                }
                let connector = format!("x{}", ports.len());
                let class = Class::of(container.dtype);
                ports.push(Port { connector: connector.clone(), memlet, class });
                Some(connector)
            }
        }
    }

    /// An index in range for a container, if reading it here is no race.
    fn index_to_read(&mut self, container: &Container) -> Option<String> {
        if let Some(map) = &self.map {
            if map.resolved.contains(&container.name) {
                return None;
            }
            if map.parallel
                && let Some((_, index)) = map.writes.iter().find(|(name, _)| *name == container.name)
            {
                return Some(index.clone());
            }
        }
        if container.scalar {
            return Some("0".to_owned());
        }
        let mut parts = Vec::with_capacity(container.dims.len());
        for (dim, extent) in container.dims.clone().iter().enumerate() {
            match &container.pinned {
                Some(pinned) if dim == 0 => parts.push(pinned.clone()),
                _ => parts.push(self.index(extent)),
            }
        }
        Some(parts.join(", "))
    }
}
