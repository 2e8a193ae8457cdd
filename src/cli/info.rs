//! `pelton info`: what is in a program.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use indexmap::IndexMap;
use serde_json::{Value, json};

use crate::entity::Name;
use crate::exec::bind::Symbols;
use crate::exec::load::examine_with;
use crate::interp::{RequiredKind, required_arguments};
use crate::ir::{BlockKind, Data, DataKind, Graph, NodeKind, Program};
use crate::scalar::{Scalar, Type};
use crate::symbolic::{ExprId, Grammar};

use super::info_gtir::GtirInfo;
use super::output::Output;
use super::{TextFormat, Usage, Verdict};

/// Tell what is in a program.
///
/// Counts regions, states, maps, tasklets and library nodes, lists containers with shapes and sizes, and says
/// which arguments and symbols a call has to bring.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pelton info program.sdfgz
  pelton info program.sdfgz --set N=1000 --format json
  pelton info --gpu    the GPUs there are, and what they can do")]
pub struct InfoArgs {
    /// The program file.
    #[arg(required_unless_present = "gpu")]
    program: Option<PathBuf>,
    /// List the GPUs that programs can run on, and what they can do. None is an answer, not an error.
    #[arg(long, conflicts_with_all = ["program", "case", "sets"])]
    gpu: bool,
    /// What describes the arguments of a GTIR program; the case.json beside it by default.
    #[arg(long, value_name = "CASE.json")]
    case: Option<PathBuf>,
    /// A symbol's value, to compute sizes in bytes with.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    sets: Vec<String>,
    /// How the report is written.
    #[arg(long, value_enum, default_value = "text")]
    format: TextFormat,
}

/// How many of everything there are, nested graphs included.
#[derive(Default)]
struct Counts {
    graphs: usize,
    regions: usize,
    states: usize,
    loops: usize,
    conditionals: usize,
    accesses: usize,
    tasklets: usize,
    maps: usize,
    consumes: usize,
    nested: usize,
    library: IndexMap<String, usize>,
}

/// Runs the subcommand.
pub fn info(args: &InfoArgs, out: &mut Output) -> anyhow::Result<Verdict> {
    let Some(path) = args.program.as_deref().filter(|_| !args.gpu) else {
        return super::info_gpu::info(args.format, out);
    };
    let loaded = examine_with(path, args.case.as_deref())?;
    let gtir = loaded.gtir.as_deref().map(GtirInfo::of);
    let program = &loaded.program;
    let values = symbol_values(program, &args.sets)?;
    let counts = Counts::of(program);
    let Some(root) = program.root_graph() else {
        return Err(Usage("the program has no graph".into()).into());
    };
    let containers: Vec<Container> =
        root.data.iter().map(|(name, data)| Container::of(program, root, *name, data, &values)).collect();
    let required = required_arguments(program).unwrap_or_default();
    let symbols: Vec<(String, String)> = required
        .iter()
        .filter_map(|item| match &item.kind {
            RequiredKind::Symbol(dtype) => {
                Some((program.names[item.name].to_owned(), dtype.name().to_owned()))
            }
            _ => None,
        })
        .collect();
    let transient_bytes: Option<u128> =
        containers.iter().filter(|container| container.transient).map(|container| container.bytes).sum();
    let errors = loaded.errors().count();
    match args.format {
        TextFormat::Json => {
            let report = json!({
                "program": path.display().to_string(),
                "format": loaded.format.name(),
                "name": root.name,
                "dace_version": program.dace_version,
                "graphs": counts.graphs,
                "regions": counts.regions,
                "states": counts.states,
                "loops": counts.loops,
                "conditionals": counts.conditionals,
                "access_nodes": counts.accesses,
                "tasklets": counts.tasklets,
                "maps": counts.maps,
                "consume_scopes": counts.consumes,
                "nested_graphs": counts.nested,
                "library_nodes": counts.library.iter().map(|(class, count)| (class.clone(), json!(count))).collect::<serde_json::Map<_, _>>(),
                "arrays": containers.iter().map(Container::json).collect::<Vec<_>>(),
                "transient_bytes": transient_bytes.map(|bytes| bytes as f64),
                "symbols": symbols.iter().map(|(name, ty)| json!({"name": name, "dtype": ty})).collect::<Vec<_>>(),
                "gtir": gtir.as_ref().map(GtirInfo::json),
                "errors": errors,
            });
            serde_json::to_writer_pretty(&mut *out, &report)?;
            writeln!(out)?;
        }
        TextFormat::Text => {
            let version =
                program.dace_version.as_ref().map(|version| format!(", DaCe {version}")).unwrap_or_default();
            writeln!(out, "{} ({}{version})", root.name, loaded.format.name())?;
            if let Some(gtir) = &gtir {
                gtir.write(out)?;
                writeln!(out)?;
            }
            counts.write(out)?;
            writeln!(out)?;
            write_containers(out, &containers)?;
            if let Some(bytes) = transient_bytes.filter(|&bytes| bytes > 0) {
                writeln!(out, "\ntransients of the outermost graph: {}", in_units(bytes))?;
            }
            if symbols.is_empty() {
                writeln!(out, "\nno symbol has to be given")?;
            } else {
                let list: Vec<String> = symbols.iter().map(|(name, ty)| format!("{name} ({ty})")).collect();
                writeln!(out, "\nsymbols that shapes tell or a call has to give: {}", list.join(", "))?;
            }
            if errors > 0 {
                writeln!(out, "\n{errors} errors: see `pelton check {}`", path.display())?;
            }
        }
    }
    Ok(Verdict::Good)
}

fn symbol_values(program: &Program, sets: &[String]) -> Result<IndexMap<Name, Scalar>, Usage> {
    let mut values = IndexMap::new();
    for text in sets {
        let parsed = text.split_once('=').and_then(|(name, value)| Some((name, value.parse::<i64>().ok()?)));
        let (name, value) = parsed.ok_or_else(|| Usage(format!("--set {text}: write NAME=INTEGER")))?;
        let name =
            program.names.lookup(name).ok_or_else(|| Usage(format!("the program has no symbol {name}")))?;
        values.insert(name, Scalar::I64(value));
    }
    Ok(values)
}

impl Counts {
    fn of(program: &Program) -> Counts {
        let mut counts = Counts { graphs: program.graphs.len(), ..Counts::default() };
        for graph in program.graphs.values() {
            counts.regions += graph.regions.len();
            for block in graph.blocks.values() {
                match &block.kind {
                    BlockKind::State(_) => counts.states += 1,
                    BlockKind::Loop(_) => counts.loops += 1,
                    BlockKind::Conditional(_) => counts.conditionals += 1,
                    _ => {}
                }
            }
            for (_, state) in graph.states() {
                for (_, node) in state.live_nodes() {
                    match &node.kind {
                        NodeKind::Access { .. } => counts.accesses += 1,
                        NodeKind::Tasklet(_) => counts.tasklets += 1,
                        NodeKind::MapEntry(_) => counts.maps += 1,
                        NodeKind::ConsumeEntry(_) => counts.consumes += 1,
                        NodeKind::Nested(_) => counts.nested += 1,
                        NodeKind::Library(library) => {
                            *counts.library.entry(library.class().to_owned()).or_default() += 1;
                        }
                        NodeKind::MapExit { .. } | NodeKind::ConsumeExit { .. } | NodeKind::Removed => {}
                    }
                }
            }
        }
        counts.library.sort_keys();
        counts
    }

    fn write(&self, out: &mut Output) -> std::io::Result<()> {
        let several =
            |count: usize, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
        writeln!(
            out,
            "{}, {}, {}, {}, {}",
            several(self.graphs, "graph", "graphs"),
            several(self.regions, "region", "regions"),
            several(self.states, "state", "states"),
            several(self.loops, "loop", "loops"),
            several(self.conditionals, "conditional", "conditionals"),
        )?;
        writeln!(
            out,
            "{}, {}, {}, {}",
            several(self.maps, "map", "maps"),
            several(self.tasklets, "tasklet", "tasklets"),
            several(self.accesses, "access node", "access nodes"),
            several(self.nested, "nested graph", "nested graphs"),
        )?;
        if self.consumes > 0 {
            writeln!(out, "{}", several(self.consumes, "consume scope", "consume scopes"))?;
        }
        if !self.library.is_empty() {
            let list: Vec<String> =
                self.library.iter().map(|(class, count)| format!("{count} {class}")).collect();
            writeln!(out, "library nodes: {}", list.join(", "))?;
        }
        Ok(())
    }
}

struct Container {
    name: String,
    kind: &'static str,
    ty: String,
    shape: Vec<String>,
    transient: bool,
    bytes: Option<u128>,
}

impl Container {
    fn of(
        program: &Program,
        graph: &Graph,
        name: Name,
        data: &Data,
        values: &IndexMap<Name, Scalar>,
    ) -> Container {
        let kind = match &data.kind {
            DataKind::Scalar(_) => "scalar",
            DataKind::Array(_) => "array",
            DataKind::View(_) => "view",
            DataKind::Reference(_) => "reference",
            DataKind::Stream(_) => "stream",
            DataKind::Structure(_) => "structure",
            DataKind::StructureView(_) => "structure view",
            DataKind::StructureReference(_) => "structure reference",
            DataKind::ContainerArray { .. } => "container array",
            DataKind::ContainerView { .. } => "container view",
            DataKind::ContainerReference { .. } => "container reference",
        };
        let print = |&extent: &ExprId| program.exprs.print(&program.names, extent, Grammar::Plain);
        let owns = matches!(data.kind, DataKind::Scalar(_) | DataKind::Array(_));
        Container {
            name: program.names[name].to_owned(),
            kind,
            ty: type_name(program, data.ty),
            shape: data.shape().iter().map(print).collect(),
            transient: data.transient,
            bytes: if owns { bytes(program, graph, data, values) } else { Some(0) },
        }
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "kind": self.kind,
            "dtype": self.ty,
            "shape": self.shape,
            "transient": self.transient,
            // A script that reads doubles gets what it would make of the number anyway.
            "bytes": self.bytes.map(|bytes| u64::try_from(bytes).map_or_else(|_| json!(bytes as f64), |bytes| json!(bytes))),
        })
    }
}

fn type_name(program: &Program, ty: Type) -> String {
    match ty {
        Type::Scalar(dtype) => dtype.name().to_owned(),
        Type::Vector(dtype, lanes) => format!("{dtype} x {lanes}"),
        Type::Struct(id) => {
            program.structs.get(id).map_or_else(|| "record".into(), |def| program.names[def.name].to_owned())
        }
        Type::Opaque(name) => program.names[name].to_owned(),
    }
}

/// Bytes of a container, where the symbols it needs have values.
fn bytes(program: &Program, graph: &Graph, data: &Data, values: &IndexMap<Name, Scalar>) -> Option<u128> {
    let constant =
        |name: Name| graph.constants.get(&name).and_then(|constant| constant.values.first().copied());
    let value = |name: Name| values.get(&name).copied().or_else(|| constant(name));
    let env = Symbols(&value);
    let eval =
        |extent: ExprId| program.exprs.eval(extent, &env).ok().and_then(|extent| u128::try_from(extent).ok());
    let elements = match data.array().and_then(|array| array.total_size) {
        Some(total) => eval(total)?,
        None => {
            let extents = data.shape().iter().map(|&extent| eval(extent));
            extents.into_iter().try_fold(1u128, |product, extent| product.checked_mul(extent?))?
        }
    };
    elements.checked_mul(data.ty.bytes(&program.structs) as u128)
}

fn write_containers(out: &mut Output, containers: &[Container]) -> std::io::Result<()> {
    if containers.is_empty() {
        return writeln!(out, "no containers");
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(["container", "kind", "type", "shape", "bytes"]);
    for container in containers {
        let kind =
            if container.transient { format!("transient {}", container.kind) } else { container.kind.into() };
        let bytes = container.bytes.map_or_else(|| "?".into(), |bytes| bytes.to_string());
        let shape = format!("[{}]", container.shape.join(", "));
        table.add_row([container.name.clone(), kind, container.ty.clone(), shape, bytes]);
    }
    if let Some(column) = table.column_mut(4) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(out, "{table}")
}

/// A number of bytes for people.
pub(super) fn in_units(bytes: u128) -> String {
    let mut size = bytes as f64;
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
        if size < 1024.0 {
            return if unit == "bytes" { format!("{bytes} bytes") } else { format!("{size:.1} {unit}") };
        }
        size /= 1024.0;
    }
    format!("{size:.1} TiB")
}
