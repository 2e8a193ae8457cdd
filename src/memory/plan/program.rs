//! The plan of a whole program for known symbols: what `pelton plan` prints and the interpreter follows.

use crate::analysis::liveness::{Class, Liveness, Moment, Transient};
use crate::diag::Diagnostic;
use crate::entity::Name;
use crate::ir::Program;

use super::{Item, Plan, plan};

/// Where the transients of a program lie.
#[derive(Clone, Debug)]
pub struct ProgramPlan {
    /// What is planned, and when it lives.
    pub liveness: Liveness,
    /// One per transient of [`ProgramPlan::liveness`].
    pub rows: Vec<Row>,
    /// The slab that threads share; offsets of the rows of [`Class::Shared`], in their order.
    pub shared: Plan,
    /// The slab of each thread; offsets of the rows of [`Class::Private`], in their order.
    pub private: Plan,
}

/// Size and place of a transient.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Bytes, where they are known.
    pub bytes: Option<u64>,
    /// Offset in the slab of its class.
    pub offset: Option<u64>,
    /// Why there is no size, where the symbols should tell one.
    pub problem: Option<String>,
}

impl ProgramPlan {
    /// Plans a program; `value` gives symbols of the outermost graph.
    ///
    /// # Errors
    /// What [`Liveness::of`] reports; `P0752` if all transients together are too large.
    pub fn of(program: &Program, value: &dyn Fn(Name) -> Option<i64>) -> Result<ProgramPlan, Diagnostic> {
        ProgramPlan::of_liveness(program, Liveness::of(program)?, value)
    }

    /// As [`ProgramPlan::of`], for liveness that is known.
    ///
    /// # Errors
    /// `P0752` if all transients together are too large.
    pub fn of_liveness(
        program: &Program,
        liveness: Liveness,
        value: &dyn Fn(Name) -> Option<i64>,
    ) -> Result<ProgramPlan, Diagnostic> {
        let values: Vec<Option<i64>> = liveness.symbols.iter().map(|&name| value(name)).collect();
        let slots: Vec<i64> = values.iter().map(|value| value.unwrap_or_default()).collect();
        let mut rows: Vec<Row> = Vec::with_capacity(liveness.transients.len());
        for transient in &liveness.transients {
            let mut row = Row::default();
            if let Some(size) = &transient.size {
                let lacks = transient
                    .symbols
                    .iter()
                    .find(|&&slot| values.get(slot as usize).is_some_and(Option::is_none));
                match (lacks.and_then(|&slot| liveness.symbols.get(slot as usize)), size.bytes(&slots)) {
                    (Some(&name), _) => {
                        row.problem = Some(format!("{} has no value", program.names.get(name)))
                    }
                    (None, Ok(bytes)) => row.bytes = Some(bytes),
                    (None, Err(error)) => row.problem = Some(error.to_string()),
                }
            }
            rows.push(row);
        }
        let shared = slab(&liveness.transients, &mut rows, Class::Shared)?;
        let private = slab(&liveness.transients, &mut rows, Class::Private)?;
        Ok(ProgramPlan { liveness, rows, shared, private })
    }

    /// Transients with their rows.
    pub fn transients(&self) -> impl Iterator<Item = (&Transient, &Row)> {
        self.liveness.transients.iter().zip(&self.rows)
    }

    /// Bytes alive in the shared slab from each moment on at which that changes.
    pub fn demand(&self) -> Vec<(Moment, u64)> {
        let mut changes: Vec<(Moment, i64)> = Vec::new();
        for (transient, row) in self.transients().filter(|(transient, _)| transient.class == Class::Shared) {
            if let (Some(span), Some(bytes)) = (transient.span, row.bytes) {
                let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
                changes.push((span.first, bytes));
                changes.push((span.last + 1, -bytes));
            }
        }
        changes.sort_unstable();
        let mut demand: Vec<(Moment, u64)> = Vec::new();
        let mut alive: i64 = 0;
        for (moment, change) in changes {
            alive = alive.saturating_add(change);
            let now = u64::try_from(alive).unwrap_or(0);
            match demand.last_mut() {
                Some(last) if last.0 == moment => last.1 = now,
                _ => demand.push((moment, now)),
            }
        }
        demand
    }
}

/// Plans the rows of one class.
fn slab(transients: &[Transient], rows: &mut [Row], class: Class) -> Result<Plan, Diagnostic> {
    let mut items = Vec::new();
    let mut places = Vec::new();
    for (index, transient) in transients.iter().enumerate().filter(|(_, transient)| transient.class == class)
    {
        if let (Some(span), Some(bytes)) = (transient.span, rows[index].bytes) {
            items.push(Item::new(span, bytes));
            places.push(index);
        }
    }
    let plan = plan(&items).map_err(|error| {
        Diagnostic::error("P0752", error.to_string()).with_help("`pelton plan` shows the size of each")
    })?;
    for (&index, &offset) in places.iter().zip(&plan.offsets) {
        rows[index].offset = Some(offset);
    }
    Ok(plan)
}
