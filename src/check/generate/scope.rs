//! What is in reach while a graph is written: containers, symbols, parameters, and the text so far.

use std::fmt::Write;

use crate::scalar::DType;

use super::parts::{Class, Container, Extent, Param};
use super::{Choices, Generated, Settings, inputs};

/// The generator with all its state.
pub(super) struct Generator<'g, 'b> {
    pub choices: &'g mut Choices<'b>,
    pub settings: &'g Settings,
    /// Statements left.
    pub budget: usize,
    /// Size symbols with their values.
    pub sizes: Vec<Extent>,
    /// Arguments of the outermost graph.
    pub arguments: Vec<Container>,
    /// Their layout clauses, by position.
    pub layouts: Vec<String>,
    /// Containers that statements may use now.
    pub containers: Vec<Container>,
    /// Parameters and loop variables in reach, outermost first.
    pub params: Vec<Param>,
    /// Integer symbols that have a value now.
    pub symbols: Vec<String>,
    /// Declarations at the start of the graph that is being written.
    pub declarations: String,
    /// Constants of the outermost graph, with their lengths.
    constants: Vec<(String, Class, usize)>,
    /// What the open map does, if one is open.
    pub map: Option<MapUse>,
    /// Nested graphs around.
    pub depth: usize,
    /// Enclosing loops that `break` may leave.
    pub loops: usize,
    counter: usize,
}

/// What the open outermost map has read and written so far.
#[derive(Clone, Debug, Default)]
pub(super) struct MapUse {
    pub parallel: bool,
    /// Container with the index text.
    pub reads: Vec<(String, String)>,
    pub writes: Vec<(String, String)>,
    /// Containers that conflicts were resolved into.
    pub resolved: Vec<String>,
}

const TYPES: [(DType, u32); 14] = [
    (DType::F32, 10),
    (DType::I64, 8),
    (DType::I32, 8),
    (DType::F16, 2),
    (DType::BF16, 1),
    (DType::I16, 2),
    (DType::I8, 2),
    (DType::U8, 2),
    (DType::U16, 1),
    (DType::U32, 2),
    (DType::U64, 2),
    (DType::Bool, 3),
    (DType::C64, 1),
    (DType::C128, 2),
];

impl<'g, 'b> Generator<'g, 'b> {
    pub fn new(choices: &'g mut Choices<'b>, settings: &'g Settings) -> Generator<'g, 'b> {
        let budget = 1 + choices.below(settings.statements.max(1));
        Generator {
            choices,
            settings,
            budget,
            sizes: Vec::new(),
            arguments: Vec::new(),
            layouts: Vec::new(),
            containers: Vec::new(),
            params: Vec::new(),
            symbols: Vec::new(),
            declarations: String::new(),
            constants: Vec::new(),
            map: None,
            depth: 0,
            loops: 0,
            counter: 0,
        }
    }

    pub fn run(mut self) -> Generated {
        let symbols = 1 + self.choices.below(3);
        for name in ["N", "M", "K"].iter().take(symbols) {
            let value = 1 + (self.choices.below(9) as i64 + 3) % 9;
            self.sizes.push(Extent { text: (*name).to_owned(), value, literal: false });
        }
        for _ in 0..1 + self.choices.below(4) {
            self.argument();
        }
        if self.choices.chance(10) {
            self.declare_constant();
        }
        let mut body = String::new();
        while self.budget > 0 {
            self.block(&mut body);
            if self.choices.is_exhausted() {
                break;
            }
        }
        self.observe(&mut body);
        let mut text = String::from("program generated(\n");
        for (container, layout) in self.arguments.iter().zip(&self.layouts) {
            let _ = writeln!(text, "  {}: {}{layout},", container.name, container.descriptor());
        }
        for size in &self.sizes {
            let _ = writeln!(text, "  {}: i64 symbol,", size.text);
        }
        let _ = write!(text, ") {{\n{}{body}}}\n", self.declarations);
        let inputs = inputs::inputs(self.choices, &self.sizes, &self.arguments);
        Generated { text, inputs }
    }

    /// A name nobody has.
    pub fn fresh(&mut self, stem: &str) -> String {
        self.counter += 1;
        format!("{stem}{}", self.counter)
    }

    pub fn dtype(&mut self) -> DType {
        if !self.choices.chance(self.settings.odd_types) {
            return DType::F64;
        }
        let weights = TYPES.map(|(_, weight)| weight);
        TYPES[self.choices.weighted(&weights)].0
    }

    pub fn extent(&mut self) -> Extent {
        let size = self.choices.below(self.sizes.len());
        let Some(size) = self.sizes.get(size).cloned() else { return Extent::literal(3) };
        match self.choices.weighted(&[10, 4, 2, 1]) {
            0 => size,
            1 => Extent::literal(1 + self.choices.below(6) as i64),
            2 => Extent { text: format!("{} + 1", size.text), value: size.value + 1, literal: false },
            _ => Extent { text: format!("2*{}", size.text), value: 2 * size.value, literal: false },
        }
    }

    /// Declares an argument of the outermost graph.
    fn argument(&mut self) {
        let scalar = self.choices.chance(10);
        let rank = if scalar { 0 } else { 1 + self.choices.weighted(&[4, 5, 2]) };
        let mut dims: Vec<Extent> = (0..rank).map(|_| self.extent()).collect();
        // Arrays of one shape meet more often.
        if let (Some(first), true) = (self.arguments.first(), self.choices.chance(50)) {
            for (dim, other) in dims.iter_mut().zip(&first.dims) {
                *dim = other.clone();
            }
        }
        let table = !scalar && self.choices.chance(12);
        let dtype = match table {
            true => [DType::I32, DType::I64][self.choices.below(2)],
            false => self.dtype(),
        };
        let table_of = if table { Some(self.extent()) } else { None };
        let layout = if rank > 0 { self.layout(&dims) } else { String::new() };
        let container = Container {
            name: self.fresh(if table { "table" } else { "a" }),
            dtype,
            dims,
            ready: true,
            // A scalar argument is passed by value: nobody would see what is written to it.
            fixed: table || scalar,
            table_of,
            pinned: None,
            dense: layout.is_empty(),
            scalar,
        };
        self.arguments.push(container.clone());
        self.layouts.push(layout);
        self.containers.push(container);
    }

    /// Declares one more argument, row-major, of the outermost graph, where that is what is being written.
    pub fn argument_like(&mut self, other: &Container) -> Option<String> {
        if self.depth > 0 {
            return None;
        }
        let name = self.fresh("a");
        let container = Container {
            name: name.clone(),
            fixed: false,
            table_of: None,
            dense: true,
            ready: true,
            ..other.clone()
        };
        self.arguments.push(container.clone());
        self.layouts.push(String::new());
        self.containers.push(container);
        Some(name)
    }

    fn layout(&mut self, dims: &[Extent]) -> String {
        let wrap = |extent: &Extent| format!("({})", extent.text);
        let product = |extents: &[Extent]| extents.iter().map(wrap).collect::<Vec<_>>().join("*");
        match self.choices.weighted(&[12, 2, 1]) {
            1 if dims.len() > 1 => {
                let strides: Vec<String> = (0..dims.len())
                    .map(|dim| if dim == 0 { "1".to_owned() } else { product(&dims[..dim]) })
                    .collect();
                format!(" strides({})", strides.join(", "))
            }
            2 => {
                let last = dims.len() - 1;
                let strides: Vec<String> = (0..dims.len())
                    .map(|dim| match dim {
                        _ if dim == last => "1".to_owned(),
                        _ if dim + 1 == last => format!("{} + 2", dims[last].text),
                        _ => format!("{}*({} + 2)", product(&dims[dim + 1..last]), dims[last].text),
                    })
                    .collect();
                let rows = if last == 0 { "1".to_owned() } else { product(&dims[..last]) };
                format!(" strides({}) total({rows}*({} + 2))", strides.join(", "), dims[last].text)
            }
            _ => String::new(),
        }
    }

    fn declare_constant(&mut self) {
        let name = self.fresh("w");
        let length = 1 + self.choices.below(4);
        let (class, ty, values) = [
            (Class::Real, "f64", ["0.5", "-1.25", "3.0", "0.1", "2.0"]),
            (Class::Real, "f32", ["1.5", "-0.5", "0.1", "4.0", "0.25"]),
            (Class::Integer, "i64", ["3", "-2", "0", "7", "1"]),
            (Class::Integer, "i32", ["1", "5", "-4", "2", "0"]),
        ][self.choices.below(4)];
        let values: Vec<&str> = (0..length).map(|_| values[self.choices.below(values.len())]).collect();
        let _ = writeln!(self.declarations, "  constant {name}: {ty}[{length}] = [{}]", values.join(", "));
        self.constants.push((name, class, length));
    }

    /// An element of a constant, for the code of a tasklet of the outermost graph; others do not see it.
    pub fn constant(&mut self, class: Class) -> Option<String> {
        if self.depth > 0 {
            return None;
        }
        let fitting: Vec<_> =
            self.constants.iter().filter(|(_, known, _)| *known == class).cloned().collect();
        let (name, _, length) = self.choices.pick(&fitting)?;
        match self.params.last() {
            Some(param) if self.choices.chance(60) => Some(format!("{name}[{} % {length}]", param.name)),
            _ => Some(format!("{name}[{}]", self.choices.below(*length))),
        }
    }

    /// Declares a transient of the graph that is being written; it has no value yet.
    pub fn transient(&mut self, dtype: DType, dims: Vec<Extent>) -> String {
        let name = self.fresh("t");
        let scalar = dims.is_empty();
        let container = Container {
            name: name.clone(),
            dtype,
            dims,
            ready: false,
            fixed: false,
            table_of: None,
            pinned: None,
            dense: true,
            scalar,
        };
        // Content that outlives the call: written before it is read all the same.
        let lifetime = if !scalar && self.choices.chance(3) { " lifetime(persistent)" } else { "" };
        let descriptor = container.descriptor();
        let _ = writeln!(self.declarations, "  transient {name}: {descriptor}{lifetime}");
        self.containers.push(container);
        name
    }

    /// Declares a view, reference or stream (or, without a kind, an array that only one state uses).
    pub fn declare(&mut self, kind: &str, name: &str, descriptor: &str) {
        let space = if kind.is_empty() { "" } else { " " };
        let _ = writeln!(self.declarations, "  transient{space}{kind} {name}: {descriptor}");
    }

    /// Marks a container as written everywhere.
    pub fn set_ready(&mut self, name: &str) {
        for container in self.containers.iter_mut().filter(|container| container.name == name) {
            container.ready = true;
        }
    }

    pub fn container(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// Which containers have a value; what happens in a branch that may not run is undone with it.
    pub fn readiness(&self) -> Vec<bool> {
        self.containers.iter().map(|container| container.ready).collect()
    }

    pub fn restore(&mut self, readiness: &[bool]) {
        for (position, container) in self.containers.iter_mut().enumerate() {
            container.ready &= readiness.get(position).copied().unwrap_or(false);
        }
    }
}
