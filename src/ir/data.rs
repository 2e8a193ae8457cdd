use crate::entity::Name;
use crate::scalar::Type;
use crate::symbolic::ExprId;

use super::Extra;

/// A container: what an access node names.
#[derive(Clone, PartialEq, Debug)]
pub struct Data {
    /// Element type. For structures the record type; for container arrays the element is in [`DataKind`].
    pub ty: Type,
    /// What kind of container.
    pub kind: DataKind,
    /// Owned by the program (true) or an argument (false).
    pub transient: bool,
    /// Where it lives.
    pub storage: Storage,
    /// When it is allocated.
    pub lifetime: Lifetime,
    /// Uninterpreted properties.
    pub extra: Extra,
}

/// The kinds of containers.
#[derive(Clone, PartialEq, Debug)]
pub enum DataKind {
    /// One element, passed by value.
    Scalar(ScalarData),
    /// A strided array.
    Array(Array),
    /// An alias of another container with its own shape, strides and type.
    View(Array),
    /// A pointer that an edge into connector `set` aims; undefined before.
    Reference(Array),
    /// A first-in first-out queue (an array of queues if `shape` has more than one element).
    Stream(Stream),
    /// A record of containers, reached as `name.member`.
    Structure(Structure),
    /// An alias of a structure.
    StructureView(Structure),
    /// A pointer to a structure.
    StructureReference(Structure),
    /// An array whose elements are containers.
    ContainerArray {
        /// How many there are, and in what order.
        array: Array,
        /// What each element is.
        element: Box<Data>,
    },
    /// An alias of a container array.
    ContainerView {
        /// How many there are, and in what order.
        array: Array,
        /// What each element is.
        element: Box<Data>,
    },
    /// A pointer to a container array.
    ContainerReference {
        /// How many there are, and in what order.
        array: Array,
        /// What each element is.
        element: Box<Data>,
    },
}

/// Nothing but its type.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ScalarData {}

/// Shape and layout of an array, in elements.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Array {
    /// Extent per dimension.
    pub shape: Vec<ExprId>,
    /// Distance per dimension, in elements.
    pub strides: Vec<ExprId>,
    /// Elements allocated; may exceed the product of the shape. `None`: the product of the shape.
    pub total_size: Option<ExprId>,
    /// Added to each index before the strides apply (DaCe's `offset`); empty means zeros.
    pub offset: Vec<ExprId>,
    /// Elements skipped at the start of the allocation. `None`: zero.
    pub start_offset: Option<ExprId>,
    /// `optional`: the argument may be absent.
    pub optional: Option<bool>,
    /// Whether the argument may alias others by declaration.
    pub may_alias: bool,
}

/// A queue or an array of queues.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Stream {
    /// Extent per dimension.
    pub shape: Vec<ExprId>,
    /// Capacity; zero means unbounded. Pelton's queues are unbounded in any case.
    pub buffer_size: Option<ExprId>,
    /// Added to each index.
    pub offset: Vec<ExprId>,
}

/// Members of a structure, in order.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Structure {
    /// The structure's type name.
    pub name: Option<Name>,
    /// Members by name.
    pub members: Vec<(Name, Data)>,
}

impl Data {
    /// Shape, for everything that has one; scalars and structures give an empty slice.
    pub fn shape(&self) -> &[ExprId] {
        match &self.kind {
            DataKind::Stream(stream) => &stream.shape,
            _ => self.array().map_or(&[], |array| &array.shape),
        }
    }

    /// The array layout, for arrays, views, references and container arrays.
    pub fn array(&self) -> Option<&Array> {
        match &self.kind {
            DataKind::Array(array)
            | DataKind::View(array)
            | DataKind::Reference(array)
            | DataKind::ContainerArray { array, .. }
            | DataKind::ContainerView { array, .. }
            | DataKind::ContainerReference { array, .. } => Some(array),
            _ => None,
        }
    }

    /// The members of a structure, of its views and references; of other containers none.
    pub fn members(&self) -> &[(Name, Data)] {
        match &self.kind {
            DataKind::Structure(structure)
            | DataKind::StructureView(structure)
            | DataKind::StructureReference(structure) => &structure.members,
            _ => &[],
        }
    }

    /// Whether it is an alias made by an edge (array, structure or container view).
    pub fn is_view(&self) -> bool {
        matches!(self.kind, DataKind::View(_) | DataKind::StructureView(_) | DataKind::ContainerView { .. })
    }

    /// Whether it is queues.
    pub fn is_stream(&self) -> bool {
        matches!(self.kind, DataKind::Stream(_))
    }

    /// Whether it is a pointer that is aimed at run time.
    pub fn is_reference(&self) -> bool {
        matches!(
            self.kind,
            DataKind::Reference(_) | DataKind::StructureReference(_) | DataKind::ContainerReference { .. }
        )
    }
}

/// Where a container lives. All are plain memory to the interpreter.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Storage {
    /// Not decided.
    #[default]
    Default,
    /// `Register`.
    Register,
    /// `CPU_Heap`.
    Heap,
    /// `CPU_ThreadLocal`.
    ThreadLocal,
    /// Any other of DaCe's storages, by its name there (`GPU_Global`, `CPU_Pinned`, ...).
    Other(Box<str>),
}

/// When a container is allocated and freed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Lifetime {
    /// Each time the innermost scope that holds all its uses is entered.
    #[default]
    Scope,
    /// Once per execution of the state.
    State,
    /// Once per execution of the graph.
    Graph,
    /// Once per call of the program.
    Global,
    /// Once per program instance; content survives between calls.
    Persistent,
    /// Memory the caller provides; content survives between calls.
    External,
}
