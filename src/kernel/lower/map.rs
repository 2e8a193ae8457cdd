//! Maps: loops over their parameters, first one outermost.

use hashbrown::HashSet;

use crate::entity::Name;
use crate::ir::{Map, NodeId, Schedule};
use crate::kernel::build::LoopFacts;
use crate::kernel::{MapLoop, Order, Stmt, TrapKind, ValueId};
use crate::scalar::{BinaryOp, DType, Type};
use crate::symbolic::ExprId;

use super::container::Container;
use super::dataflow::StateContext;
use super::symbols::Symbol;
use super::{Lowerer, Lowering};

impl<'p> Lowerer<'p> {
    pub fn map(&mut self, cx: &StateContext<'p>, id: NodeId, map: &'p Map) -> Lowering<()> {
        if map.params.len() != map.range.ranges.len() {
            return self.invalid("P0109", "a map has as many ranges as parameters");
        }
        let mut hidden: Vec<(Name, Option<Symbol>)> = Vec::new();
        self.range_inputs(cx, id, &mut hidden)?;
        let fixed = self.fix_inputs(cx, id)?;
        let ranges: Vec<(Name, [ExprId; 4])> = map
            .params
            .iter()
            .zip(&map.range.ranges)
            .map(|(&name, range)| (name, [range.start, range.end, range.step, range.tile]))
            .collect();
        let order = match map.schedule.is_parallel(self.scopes_around > 0) {
            true => Order::Any,
            false if map.schedule == Schedule::Default => Order::Undecided,
            false => Order::InTurn,
        };
        self.scopes_around += 1;
        // Variables of control flow are read in front of the loops, not in them.
        let result = self.loops(cx, id, &ranges, order, &mut hidden);
        self.scopes_around -= 1;
        for (name, container) in fixed {
            self.cx.data.insert(name, container);
        }
        for (name, symbol) in hidden.into_iter().rev() {
            match symbol {
                Some(symbol) => self.cx.symbols.insert(name, symbol),
                None => self.cx.symbols.remove(&name),
            };
        }
        result
    }

    fn loops(
        &mut self,
        cx: &StateContext<'p>,
        id: NodeId,
        ranges: &[(Name, [ExprId; 4])],
        order: Order,
        hidden: &mut Vec<(Name, Option<Symbol>)>,
    ) -> Lowering<()> {
        let Some((&(name, [start, end, step, _]), rest)) = ranges.split_first() else {
            return self.scope(cx, Some(id));
        };
        let start = self.int(start)?;
        let end = self.int(end)?;
        let step = self.int(step)?;
        let one = self.b.int(1);
        let stop = self.b.add(end, one);
        match self.b.as_int(step) {
            Some(step) if step > 0 => {
                let facts = self.loop_facts(start, stop, step);
                let depth = self.b.depth() + 1;
                let value = self.b.new_value(DType::I64, depth);
                self.note_map(value, name);
                self.b.open_loop(LoopFacts { variable: value, ..facts });
                hidden.push((name, self.cx.symbols.insert(name, Symbol::Index(value, DType::I64))));
                self.loops(cx, id, rest, order, hidden)?;
                let body = self.b.close();
                self.b.push(Stmt::For { variable: value, start, stop, step, order, body });
                Ok(())
            }
            _ => {
                // A step known at run time: count iterations instead.
                let zero = self.b.int(0);
                let positive = self.b.binary(BinaryOp::Gt, step, zero);
                let trap = self.trap(TrapKind::BadStep, "a map has a step that is not positive");
                self.b.check(positive, trap);
                let span = self.b.sub(end, start);
                let steps = self.divided(BinaryOp::FloorDiv, span, step)?;
                let count = self.b.add(steps, one);
                let depth = self.b.depth() + 1;
                let number = self.b.new_value(DType::I64, depth);
                self.note_map(number, name);
                self.b.open();
                let distance = self.b.mul(number, step);
                let value = self.b.add(start, distance);
                hidden.push((name, self.cx.symbols.insert(name, Symbol::Index(value, DType::I64))));
                self.loops(cx, id, rest, order, hidden)?;
                let body = self.b.close();
                self.b.push(Stmt::For { variable: number, start: zero, stop: count, step: 1, order, body });
                Ok(())
            }
        }
    }

    fn note_map(&mut self, variable: ValueId, parameter: Name) {
        let (parameter, place) = (self.text(parameter).to_owned(), self.place.clone());
        self.b.kernel.maps.push(MapLoop { variable, parameter, place });
    }

    /// Inputs of an entry that are not data passed through: symbols of the scope.
    fn range_inputs(
        &mut self,
        cx: &StateContext<'p>,
        id: NodeId,
        hidden: &mut Vec<(Name, Option<Symbol>)>,
    ) -> Lowering<()> {
        let mut inputs: Vec<(Name, ValueId)> = Vec::new();
        for &edge_id in cx.adjacency.incoming(id) {
            let Some(connector) = cx.edge(edge_id).dst_conn else { continue };
            if self.text(connector).starts_with("IN_") {
                continue;
            }
            let access = self.code_access(cx, edge_id, false)?;
            let Type::Scalar(_) = access.container.ty() else {
                return self.unsupported("a map range that is no number");
            };
            let element = self.first(&access)?;
            match self.load(&element)?[..] {
                [value] => inputs.push((connector, value)),
                _ => return self.unsupported("a map range that is no real number"),
            }
        }
        for (name, value) in inputs {
            hidden.push((name, self.cx.symbols.insert(name, Symbol::Value(value))));
        }
        Ok(())
    }

    /// Containers of one element that the scope only reads become values, so that what depends on nothing but
    /// them can leave the loops. Gives what to put back.
    fn fix_inputs(&mut self, cx: &StateContext<'p>, id: NodeId) -> Lowering<Vec<(Name, Container)>> {
        let inputs = cx.adjacency.outgoing(id).iter().filter_map(|&edge| cx.edge(edge).memlet.data);
        let is_register = |name: &Name| matches!(self.cx.data.get(name), Some(Container::Register { .. }));
        let inputs: Vec<Name> = inputs.filter(is_register).collect();
        if inputs.is_empty() {
            return Ok(Vec::new());
        }
        let mut written: HashSet<Name> = HashSet::new();
        for node in cx.tree.inside(id) {
            for &edge in cx.adjacency.outgoing(node) {
                let edge = cx.edge(edge);
                written.extend(edge.memlet.data);
                written.extend(cx.accessed(edge.dst));
            }
        }
        let mut replaced = Vec::new();
        for name in inputs {
            let Some(Container::Register { ty, variables, rank }) = self.cx.data.get(&name).cloned() else {
                continue;
            };
            if written.contains(&name) {
                continue;
            }
            let values: Vec<ValueId> = variables.iter().map(|&variable| self.b.get(variable)).collect();
            let fixed = Container::Fixed { ty, values: values.into(), rank };
            if let Some(before) = self.cx.data.insert(name, fixed) {
                replaced.push((name, before));
            }
        }
        Ok(replaced)
    }
}
