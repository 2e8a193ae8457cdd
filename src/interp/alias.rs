//! Views, references and the connectors of nested graphs: places that point into other places.

use super::machine::{Fallible, Machine};
use super::memory::{NOWHERE, Place};
use super::plan::{Access, AliasPlan, ConnectorPlan, ContainerKind, ContainerSlot, Layout};

impl<'p> Machine<'p, '_> {
    /// Aims a view or reference.
    pub fn alias(&mut self, alias: &'p AliasPlan) -> Fallible<()> {
        self.point(alias.alias, &alias.layout, &alias.target)
    }

    /// Binds a connector of a nested graph to an outer container.
    pub fn connect(&mut self, connector: &'p ConnectorPlan) -> Fallible<()> {
        let inner = &self.plan.containers[connector.inner as usize];
        let outer = &self.plan.containers[connector.outer.container as usize];
        let from = &self.places[connector.outer.container as usize];
        if from.block == NOWHERE && outer.kind != ContainerKind::Structure {
            // Absent: a fault only if somebody looks.
            self.places[connector.inner as usize] = Place::nowhere();
            return Ok(());
        }
        let structured = matches!(inner.kind, ContainerKind::Structure | ContainerKind::Containers)
            || !inner.members.is_empty();
        if structured || inner.kind == ContainerKind::Scalar {
            return self.point(connector.inner, &inner.layout, &connector.outer);
        }
        if inner.kind == ContainerKind::Stream {
            self.places[connector.inner as usize] =
                if connector.whole && from.dims.len() == inner.layout.shape.len() {
                    from.clone()
                } else {
                    let (block, base) = self.queue(&connector.outer)?;
                    Place { block, base, ..self.aim(&inner.layout, block, base, 1)? }
                };
            return Ok(());
        }
        if connector.whole {
            let from_rank = from.dims.len();
            // Declarations are compared, not the memory behind them: an argument may be laid out, or be as large,
            // as its caller likes.
            let inside = self.aim(&inner.layout, from.block, from.base, inner.element.bytes)?;
            let outside = self.aim(&outer.layout, from.block, from.base, outer.element.bytes)?;
            let agree = inside.dims.len() == outside.dims.len()
                && inside.dims.len() == from_rank
                && inside.dims.iter().zip(&outside.dims).all(|(inner, outer)| {
                    inner.extent == outer.extent && (inner.stride == outer.stride || inner.extent <= 1)
                });
            if agree {
                self.places[connector.inner as usize] =
                    self.places[connector.outer.container as usize].clone();
                return Ok(());
            }
        }
        self.point(connector.inner, &inner.layout, &connector.outer)
    }

    /// Lays `alias` over what an access names, seen through its own layout.
    fn point(&mut self, alias: ContainerSlot, layout: &Layout, target: &Access) -> Fallible<()> {
        let plan = self.plan;
        let alias_container = &plan.containers[alias as usize];
        let target_container = &plan.containers[target.container as usize];
        if target_container.kind == ContainerKind::Containers
            || !self.elements[target.container as usize].is_empty()
        {
            return self.point_to_element(alias, target);
        }
        if !alias_container.members.is_empty() {
            self.places[alias as usize] = self.places[target.container as usize].clone();
            for &(name, member) in &alias_container.members {
                let source = target_container.members.iter().find(|(other, _)| *other == name);
                self.places[member as usize] = match source {
                    Some(&(_, source)) => self.places[source as usize].clone(),
                    None => Place::nowhere(),
                };
            }
            return Ok(());
        }
        if target_container.kind == ContainerKind::Stream {
            self.places[alias as usize] = self.places[target.container as usize].clone();
            return Ok(());
        }
        if self.places[target.container as usize].block == NOWHERE {
            self.places[alias as usize] = Place::nowhere();
            return Ok(());
        }
        let (block, base) = self.address(target)?;
        self.places[alias as usize] = self.aim(layout, block, base, alias_container.element.bytes)?;
        Ok(())
    }

    /// Lays `alias` over one element of a container array (or over the whole array).
    fn point_to_element(&mut self, alias: ContainerSlot, target: &Access) -> Fallible<()> {
        let plan = self.plan;
        let array = target.container as usize;
        if plan.containers[alias as usize].template.is_some() {
            self.places[alias as usize] = self.places[array].clone();
            self.elements[alias as usize] = self.elements[array].clone();
            return Ok(());
        }
        let (_, index) = self.address(target)?;
        let element = usize::try_from(index).ok().and_then(|index| self.elements[array].get(index)).cloned();
        let Some(element) = element else { return Err(self.outside(target, index)) };
        for (part, place) in self.parts(alias).into_iter().zip(element) {
            self.places[part as usize] = place;
        }
        Ok(())
    }

    /// The first queue an access to a stream names: queue table start and offset.
    pub fn queue(&self, access: &Access) -> Fallible<(u32, i64)> {
        self.address(access)
    }
}
