//! Nested graphs, inlined.
//!
//! A connector is another name for an outer container. Under [`Contract::Whole`] it is the whole container if the
//! inner layout agrees with the outer one; otherwise, and always under [`Contract::Window`], it is the memlet's subset
//! seen through the inner layout. Whether layouts agree is decided on the values; where that is not known before the
//! run, agreement is checked.

use hashbrown::HashMap;

use crate::entity::Name;
use crate::ir::{Contract, DataKind, NestedGraph, NodeId};
use crate::kernel::{TrapKind, ValueId};
use crate::scalar::BinaryOp;

use super::container::{Container, Element, Memory};
use super::dataflow::StateContext;
use super::memlet::Access;
use super::symbols::Symbol;
use super::{GraphContext, Lowerer, Lowering};

impl<'p> Lowerer<'p> {
    pub fn nested(&mut self, cx: &StateContext<'p>, id: NodeId, nested: &'p NestedGraph) -> Lowering<()> {
        let Some(graph_id) = nested.graph else {
            return self.invalid("P0111", "the nested graph lies in another file");
        };
        let Some(graph) = self.program.graphs.get(graph_id) else {
            return self.invalid("P0100", format!("there is no {graph_id}"));
        };
        // Everything outside is evaluated before the names change.
        let complex = self.complex_symbols_of(nested, graph);
        let mut symbols: Vec<(Name, Symbol)> = Vec::new();
        for (&name, &expr) in &nested.symbol_mapping {
            if !graph.symbols.contains_key(&name)
                && !super::container::free_symbols(self.program, graph).contains(&name)
            {
                // Nobody inside looks at it, or only code does.
            }
            if complex.iter().any(|(known, _)| *known == name) {
                continue;
            }
            let declared = graph.symbol_type(name);
            let plain = self.program.exprs.as_symbol(expr);
            let symbol = match plain {
                Some(outer) => match self.cx.symbols.get(&outer).copied() {
                    Some(Symbol::Index(value, dtype)) => Symbol::Index(value, dtype),
                    _ => Symbol::Value(self.symbol(outer)?),
                },
                None => Symbol::Index(self.int(expr)?, declared),
            };
            symbols.push((name, symbol));
        }
        let mut connectors: Vec<(Name, Access)> = Vec::new();
        let sides = [(cx.adjacency.incoming(id), false), (cx.adjacency.outgoing(id), true)];
        for (edges, writes) in sides {
            for &edge_id in edges {
                let edge = cx.edge(edge_id);
                let Some(connector) = (if writes { edge.src_conn } else { edge.dst_conn }) else { continue };
                if connectors.iter().any(|(known, _)| *known == connector) {
                    continue;
                }
                if edge.memlet.wcr.is_some() && edge.memlet.data.is_some() {
                    // Resolution happens inside, where the graph says so.
                }
                let access = self.code_access(cx, edge_id, writes)?;
                connectors.push((connector, access));
            }
        }
        let uses = crate::analysis::Uses::of(self.program, graph)?;
        let inner = GraphContext {
            id: graph_id,
            graph,
            symbols: HashMap::new(),
            data: HashMap::new(),
            cache: HashMap::new(),
            between: HashMap::new(),
            consumed: HashMap::new(),
            references: HashMap::new(),
            level: self.b.depth(),
            return_label: None,
            break_label: None,
            continue_label: None,
            uses: std::rc::Rc::new(uses),
        };
        let inherited: Vec<(Name, Symbol)> =
            self.cx.symbols.iter().map(|(&name, &symbol)| (name, symbol)).collect();
        // Symbols that nobody mapped mean the symbol of that name outside. Variables are read now.
        for (name, symbol) in inherited {
            if nested.symbol_mapping.contains_key(&name) || graph.data.contains_key(&name) {
                continue;
            }
            let symbol = match symbol {
                Symbol::Variable(variable) if graph.symbols.contains_key(&name) => {
                    Symbol::Value(self.read_variable(variable))
                }
                Symbol::Variable(_) => continue,
                other => other,
            };
            symbols.push((name, symbol));
        }
        symbols.sort_unstable_by_key(|(name, _)| *name);
        let outer = std::mem::replace(&mut self.cx, inner);
        let result = self.inside(format!("graph `{}`", graph.name), |lowerer| {
            lowerer.cx.data.extend(complex);
            lowerer.bind_inner_symbols(symbols);
            lowerer.constants(graph)?;
            for (connector, access) in connectors {
                lowerer.connect(connector, &access)?;
            }
            lowerer.graph_body(graph_id)
        });
        self.cx = outer;
        self.cx.cache.clear();
        result
    }

    /// Complex symbols that the graph inside sees, by the name they have there, as they are now.
    fn complex_symbols_of(
        &mut self,
        nested: &NestedGraph,
        graph: &crate::ir::Graph,
    ) -> Vec<(Name, Container)> {
        let mut names: Vec<(Name, Name)> = nested
            .symbol_mapping
            .iter()
            .filter_map(|(&inner, &expr)| Some((inner, self.program.exprs.as_symbol(expr)?)))
            .collect();
        let others = self.cx.data.keys().filter(|name| !nested.symbol_mapping.contains_key(*name));
        names.extend(others.map(|&name| (name, name)));
        names.sort_unstable();
        let mut found = Vec::new();
        for (inner, outer) in names {
            if graph.data.contains_key(&inner) {
                continue;
            }
            let fixed = match (self.complex_symbol(outer), self.cx.data.get(&outer)) {
                (Some((dtype, variables)), _) => {
                    let values: Vec<ValueId> = variables.iter().map(|&part| self.b.get(part)).collect();
                    Container::Fixed {
                        ty: crate::scalar::Type::Scalar(dtype),
                        values: values.into(),
                        rank: 0,
                    }
                }
                (None, Some(fixed @ Container::Fixed { .. })) if !self.cx.graph.data.contains_key(&outer) => {
                    fixed.clone()
                }
                _ => continue,
            };
            found.push((inner, fixed));
        }
        found
    }

    fn bind_inner_symbols(&mut self, symbols: Vec<(Name, Symbol)>) {
        for (name, symbol) in symbols {
            if !self.cx.uses.assigned.contains(&name) {
                self.cx.symbols.insert(name, symbol);
                continue;
            }
            let declared = self.cx.graph.symbol_type(name);
            let (value, dtype) = match symbol {
                Symbol::Index(value, _) => (value, declared),
                Symbol::Value(value) => (value, declared),
                Symbol::Variable(_) => continue,
            };
            self.bind_symbol(name, value, dtype);
        }
        self.assigned_symbols();
    }

    /// Binds a connector to what its memlet names outside.
    fn connect(&mut self, connector: Name, outer: &Access) -> Lowering<()> {
        let graph = self.cx.graph;
        let Some(data) = graph.data.get(&connector) else {
            return self
                .invalid("P0112", format!("connector `{}` has no container inside", self.text(connector)));
        };
        let container = match &data.kind {
            DataKind::Scalar(_) | DataKind::Array(_) if self.is_absent(&outer.container) => {
                self.absent_container(self.text(connector), data.ty, data.shape().len())
            }
            DataKind::Scalar(_) => {
                if outer.container.ty() != data.ty {
                    return self.unsupported(format!("`{}`, which changes its type", self.text(connector)));
                }
                match &outer.container {
                    Container::Memory(memory) => {
                        let element = self.first(outer)?;
                        self.scalar_place(memory, element)
                    }
                    Container::Register { ty, variables, .. } => {
                        Container::Register { ty: *ty, variables: variables.clone(), rank: 0 }
                    }
                    Container::Fixed { ty, values, .. } => {
                        Container::Fixed { ty: *ty, values: values.clone(), rank: 0 }
                    }
                    Container::Stream(_) => return self.stream_as_memory(self.text(connector)),
                }
            }
            DataKind::Array(array) | DataKind::View(array) | DataKind::Reference(array) => {
                let array = array.clone();
                let whole = self.program.contract == Contract::Whole;
                match (&outer.container, whole) {
                    (Container::Memory(memory), true) if memory.ty == data.ty => {
                        match self.agrees(memory, &array, connector)? {
                            true => outer.container.clone(),
                            false => self.seen_through(outer, data.ty, &array, connector)?,
                        }
                    }
                    _ => self.seen_through(outer, data.ty, &array, connector)?,
                }
            }
            DataKind::Stream(_) => self.connect_stream(connector, data, outer)?,
            _ => return self.unsupported(format!("the stream or structure `{}`", self.text(connector))),
        };
        self.cx.data.insert(connector, container);
        Ok(())
    }

    fn scalar_place(&mut self, memory: &Memory, element: Element) -> Container {
        let Element::Memory { buffer, address, displacement, ty } = element else {
            return Container::Memory(memory.clone());
        };
        let displacement = self.b.int(displacement);
        let base = self.b.add(address, displacement);
        let bytes = self.b.int(ty.bytes(&self.program.structs) as i64);
        Container::Memory(Memory {
            buffer,
            base,
            ty,
            shape: std::rc::Rc::new([]),
            strides: std::rc::Rc::new([]),
            offset: std::rc::Rc::new([]),
            bytes,
        })
    }

    /// Whether an inner layout is the outer container's. Where only the run can tell, it is checked and assumed.
    fn agrees(&mut self, memory: &Memory, array: &crate::ir::Array, connector: Name) -> Lowering<bool> {
        if memory.shape.len() != array.shape.len() {
            return Ok(false);
        }
        let shape = self.ints(&array.shape)?;
        let strides = self.ints(&array.strides)?;
        let mut unknown: Vec<(ValueId, ValueId)> = Vec::new();
        for dim in 0..shape.len() {
            let pairs = [(shape[dim], memory.shape[dim]), (strides[dim], memory.strides[dim])];
            let single = self.b.as_int(shape[dim]).is_some_and(|extent| extent <= 1);
            for (position, (inner, outer)) in pairs.into_iter().enumerate() {
                if inner == outer || (position == 1 && single) {
                    continue;
                }
                let difference =
                    self.b.linear(inner).plus(&self.b.linear(outer), -1).and_then(|d| d.as_constant());
                match difference {
                    Some(0) => {}
                    Some(_) => return Ok(false),
                    None => unknown.push((inner, outer)),
                }
            }
        }
        let trap = self.trap(
            TrapKind::BadShape,
            format!("`{}` has another layout inside than outside", self.text(connector)),
        );
        for (inner, outer) in unknown {
            let same = self.b.binary(BinaryOp::Eq, inner, outer);
            let depth = self.b.depth();
            if self.b.note_check(same, depth) {
                self.b.check(same, trap);
            }
        }
        Ok(true)
    }
}
