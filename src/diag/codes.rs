//! The registry of diagnostic codes: what `pelton explain` shows. Codes are never reused.

/// A code and what it means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Code {
    /// For instance `P0012`.
    pub code: &'static str,
    /// A few words.
    pub title: &'static str,
    /// What it means, what usually causes it, and what to do.
    pub explanation: &'static str,
    /// The program is right, but asks for something that Pelton or the engine does not do.
    pub unsupported: bool,
}

/// The entry of a code.
pub fn lookup(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|entry| entry.code.eq_ignore_ascii_case(code))
}

/// Whether a code says that the program asks for something that is not there.
pub fn is_unsupported(code: &str) -> bool {
    lookup(code).is_some_and(|entry| entry.unsupported)
}

const fn code(code: &'static str, title: &'static str, explanation: &'static str) -> Code {
    Code { code, title, explanation, unsupported: false }
}

const fn unsupported(code: &'static str, title: &'static str, explanation: &'static str) -> Code {
    Code { code, title, explanation, unsupported: true }
}

/// All codes in order.
#[rustfmt::skip]
pub const CODES: &[Code] = &[
    code("P0001", "the gzip stream is damaged",
         "The file starts as gzip does, but does not decompress. A truncated copy or download is the usual \
          cause; copy it again."),
    code("P0002", "the file is too large",
         "The file, or what it decompresses to, is larger than any real program. Nothing was read, so that it \
          cannot fill memory."),
    code("P0003", "the file is not JSON",
         "The file is empty or not valid JSON; the place gives line and column. A truncated file ends too \
          early."),
    code("P0004", "the file nests too deeply",
         "Objects, graphs or regions nest deeper than the reader follows. Real programs stay far below the \
          limit."),
    code("P0005", "no thread for a deep file",
         "A deeply nested file is read on a thread with a stack of its own, and the system did not give one."),
    code("P0006", "the file does not say its version",
         "`dace_version` decides how sizes are written and what nested graphs receive, so it cannot be \
          guessed. Save the graph with a current DaCe, or add the version that wrote it."),
    code("P0007", "the version is not readable",
         "`dace_version` is not a version like `1.0.2` or `2.0.0b1`."),
    code("P0010", "a property has the wrong type",
         "A property of the file holds something else than expected; the place gives the path to it."),
    code("P0011", "a property is missing",
         "A property that has no default is not there; the place gives the path to the object."),
    code("P0012", "an element is of an unknown kind",
         "The file names a class that does not exist in the formats Pelton reads: a node, a block, a \
          container. A newer DaCe, or a typo."),
    unsupported("P0013", "a feature of the format is not supported",
         "The file uses something that DaCe can write and Pelton does not read: unions of subsets, distributed \
          containers."),
    code("P0015", "a constant is not a number",
         "A compile-time constant of the graph is something Pelton does not compute with. It is kept and \
          written back, but code cannot read it."),
    code("P0040", "the text is not understood",
         "The textual form expects something else here; the place gives line and column."),
    code("P0041", "a quote or block is not closed",
         "A quoted name or a code block in the textual form runs to the end of the file."),
    code("P0042", "not a type, or not a constant",
         "The textual form expects an element type or a literal here."),
    code("P0043", "a name is used twice",
         "Two blocks, nodes, connectors or containers of the textual form have the same name where it has to \
          be unique."),
    code("P0044", "a name is not known",
         "The textual form refers to something that is not defined above: a node, a container, a struct."),
    code("P0045", "not a size or index expression",
         "The textual form expects an integer expression of symbols here."),
    code("P0046", "the text nests too deeply",
         "The textual form nests deeper than the parser follows."),
    code("P0047", "attributes are not JSON",
         "`@{...}` holds uninterpreted properties as a JSON object."),
    code("P0048", "a number does not fit",
         "A literal of the textual form does not fit the type it is given for."),
    code("P0049", "a statement is incomplete or ambiguous",
         "The textual form leaves something out that does not follow from the rest: a shape, a target, an \
          index."),
    code("P0090", "the program file cannot be read",
         "The operating system did not give the file's content; the message has its reason."),
    code("P0091", "the file is no program",
         "The content is neither JSON nor text. Programs are .sdfg, .sdfgz, .gtir.json, .gtir.json.gz or .pel; \
          the content decides, not the name."),
    unsupported("P0092", "this program cannot be loaded by itself",
         "No longer given. GTIR is loaded with the description of its arguments: the case.json beside it, or \
          `--case`."),
    code("P0100", "the program has no graph",
         "There is no outermost graph with a body, or an id names nothing."),
    code("P0101", "an edge ends nowhere",
         "An edge names a node that does not exist."),
    code("P0102", "a container does not exist",
         "An access node or a memlet names a container that its graph does not declare."),
    code("P0103", "the program nests too deeply",
         "Graphs, scopes, regions or structures nest deeper than engines follow."),
    code("P0104", "something is owned twice",
         "A nested graph belongs to one node, a region to one block, a member name to one member."),
    code("P0105", "control flow is broken",
         "An interstate edge leads out of its region, or a region has no start, or several candidates for it."),
    code("P0106", "the number of dimensions is wrong",
         "A subset has as many ranges as its container has dimensions, and strides have one entry per \
          dimension."),
    code("P0107", "an edge has data without a connector, or the other way round",
         "An edge that moves data ends at connectors of the code it feeds; an edge without data only orders."),
    code("P0108", "a connector has no edge",
         "Each input connector of a tasklet or nested graph needs exactly one edge."),
    code("P0109", "a map's parameters and ranges do not match",
         "A map has one range per parameter, and no parameter twice."),
    code("P0110", "a consume scope has no stream",
         "A consume scope takes its elements from exactly one stream."),
    unsupported("P0111", "a nested graph lies in another file",
         "The node names a file instead of holding the graph. Inline it before saving."),
    code("P0112", "a connector has no container inside",
         "Each connector of a nested graph names a container inside that is not transient."),
    unsupported("P0113", "a library node is not supported",
         "The operation has no implementation here. Expand it in DaCe before saving, or replace it by maps and \
          tasklets."),
    code("P0114", "names collide, or a property is unusable",
         "A container, a symbol and a constant of one graph have different names; a library node's properties \
          have the types that its class declares."),
    code("P0115", "a conditional is malformed",
         "A conditional has at least one branch, and only the last may be without a condition."),
    code("P0116", "break or continue outside of a loop",
         "The block leaves or continues the innermost loop, and there is none."),
    code("P0117", "a positional argument is unknown",
         "The declared order of arguments names something that is neither container nor symbol."),
    code("P0118", "a block is never reached",
         "No path leads from the start to this block, so it never runs."),
    code("P0119", "a nested graph lacks a connector",
         "Each container of a nested graph that is not transient is bound by a connector. Add one with an \
          edge, or make the container transient."),
    code("P0120", "the dataflow has a cycle",
         "A node of a state waits for its own result. Split the state, so that the second use is another \
          access node or another state."),
    code("P0121", "an edge crosses the border of a scope",
         "Data enters and leaves a map through its entry and exit: lead the edge through their `IN_x` and \
          `OUT_x` connectors."),
    code("P0122", "a scope is not closed properly",
         "Each entry has exactly one exit of its kind."),
    code("P0123", "a connector does not exist",
         "An edge names a connector that its node does not have."),
    code("P0124", "connectors at a scope's border do not pair",
         "`IN_x` and `OUT_x` come in pairs at entries and exits."),
    code("P0125", "a memlet's container is at neither end",
         "A memlet names the container that is accessed at one end of its path."),
    code("P0126", "a subset lies outside its container",
         "For all values of the symbols, some index of the subset is out of range. An end that should be \
          exclusive is a usual cause: ends are inclusive."),
    code("P0127", "a step is not positive",
         "Ranges go up; a step is at least one."),
    code("P0128", "a conflict function is malformed",
         "Write-conflict resolution is a function of the old and the new value."),
    code("P0129", "a view has nothing to view",
         "A view needs an edge that says which container it is an alias of."),
    code("P0130", "a reference is never set",
         "Nothing aims the reference, so every use would be a fault."),
    code("P0131", "control flow reads a stream",
         "Conditions and assignments read scalars and arrays only."),
    code("P0132", "a connector differs from the outer container",
         "Rank or element type inside differ from outside; a view or a conversion may have been meant."),
    code("P0201", "an expression uses an undeclared symbol",
         "The expression reads a symbol that nothing declares, assigns, maps or iterates."),
    code("P0202", "an unknown record type",
         "A type refers to a record that the program does not define."),
    code("P0203", "a piece of code is unusable",
         "Code that runs was not lowered because of an earlier finding."),
    code("P0204", "a name in code is unknown",
         "Names in code are connectors, symbols or containers of the graph."),
    code("P0205", "an allocation is too small",
         "The array's total size does not hold the elements that its shape and strides reach."),
    code("P0206", "a size is negative",
         "The size is negative for all values of the symbols."),
    code("P0207", "a symbol is not a number",
         "Symbols are integers, floating-point numbers or booleans."),
    code("P0210", "a size or index expression is not understood",
         "The text is not one of the symbolic grammar; the message says where it stops being so."),
    code("P0211", "an unknown name in a size or index expression",
         "Symbols are spelled `$name` in this grammar; other names are known constants and functions."),
    code("P0212", "an integer in a size or index expression is too large",
         "Sizes and indices are signed 64-bit integers."),
    code("P0213", "a size or index expression nests too deeply",
         "The expression is larger or nests deeper than any written by hand."),
    code("P0301", "code is not valid",
         "The text of a tasklet, condition or assignment is not valid in its language; the note shows it."),
    code("P0302", "code has the wrong form",
         "A loop statement assigns one symbol; a conflict function takes two parameters; a condition is one \
          expression."),
    code("P0303", "code is too large",
         "The code is longer or nests deeper than any written by hand."),
    unsupported("P0304", "a construct cannot be lowered",
         "The code uses a statement or expression of its language that Pelton does not lower."),
    code("P0305", "code reads an undefined name",
         "The name is no connector, symbol, constant or earlier local."),
    code("P0306", "code has no type",
         "A connector's or result's type cannot be inferred: give the connector a type, or check the memlet."),
    code("P0307", "subscripts do not fit",
         "The number or type of subscripts does not match the dimensions of the connector."),
    unsupported("P0308", "an unknown function is called",
         "The code calls something that is neither a math function nor a conversion, or with the wrong number \
          of arguments. Callbacks into Python cannot be run."),
    unsupported("P0309", "the code's language is not supported",
         "Tasklets are Python or simple C++. MLIR, OpenCL and SystemVerilog cannot be run."),
    code("P0310", "scalar code breaks a rule",
         "Internal code failed its verifier. This is a defect in Pelton; please report the program."),
    unsupported("P0311", "code that has no tasklet text",
         "A tasklet was built without text, and its code holds something that Python tasklet text cannot say: a \
          vector, a record, a stream, a complex or narrow floating-point number."),
    code("P0401", "a symbol has no value",
         "A size, range or condition needs a symbol that was not given and that no array's shape tells. Give \
          it: `--set NAME=VALUE`."),
    code("P0402", "an argument has the wrong shape",
         "The array's shape is not the declared one with the symbols' values, or two arrays contradict each \
          other about a symbol."),
    code("P0403", "an argument has the wrong type",
         "The element type differs from the declared one. Convert the array; Pelton never reinterprets bytes."),
    code("P0404", "a value does not fit its type",
         "A scalar or symbol is outside the range of the type it is declared with."),
    code("P0405", "an argument reaches outside its buffer",
         "Offset, shape and strides describe elements beyond the memory that was given."),
    code("P0406", "an argument's shape is not known",
         "The declared shape cannot be computed from the symbols given."),
    code("P0407", "no memory for an argument",
         "An internal copy of an argument could not be made."),
    code("P0420", "an array has the wrong element type",
         "The file's element type is not the declared one. Convert the array before saving it; Pelton does not \
          reinterpret bytes."),
    code("P0421", "one value is expected",
         "A scalar or symbol comes as a 0-d array or an array of a single element."),
    code("P0422", "a value changes in the declared type",
         "An integer that does not fit, or a fraction for an integer. Nothing is rounded silently but \
          floating-point precision."),
    code("P0423", "a returned array cannot be allocated",
         "Its shape needs a symbol without a value, is negative, or does not fit memory."),
    unsupported("P0424", "this argument cannot be given",
         "Structures, streams and arrays of containers cannot come from files."),
    code("P0425", "the program has no such argument",
         "The name given is no argument of the program; the note lists those there are."),
    code("P0430", "a case folder is damaged",
         "case.json or one of the arrays it speaks of is missing or not what the format says."),
    code("P0431", "no case folder",
         "A case folder holds case.json, a program, inputs.npz and expected.npz."),
    unsupported("P0432", "the program is not run",
         "What GT4Py's DaCe backend made of a program takes the arguments of the case under names of that \
          backend. One of its arguments follows no such name, or is laid out differently."),
    code("P0433", "a case cannot be written",
        "The folder for a case could not be made, or a file in it not written. The message gives the reason."),
    code("P0434", "a run that was to give the expected results failed",
        "The side that is taken for right ended in a fault, so there is nothing to compare with. Fix the fault first."),
    code("P0435", "there is no difference",
        "Both sides gave the same bits, so there is nothing to locate or reduce."),
    code("P0436", "a recording does not fit the program",
         "Recorded arrays are named NAME, STATE/NAME or STATE/NAME#K (the container after the (K+1)-th run of that state of the \
          outermost graph), and have the shape and type of their containers."),
    code("P0440", "the array file cannot be read",
         "The operating system did not give the file's content; the message has its reason."),
    code("P0441", "not a readable .npz archive",
         "The file is not a zip archive, or is damaged. A truncated copy is the usual cause."),
    code("P0442", "not a readable array",
         "The entry does not start as a .npy file does, or its header is damaged."),
    code("P0443", "the array's data is damaged",
         "The data ends before the shape is filled, or does not decompress."),
    unsupported("P0444", "the array's element type is not supported",
         "Numbers, booleans, text and flat records are read. Pickled Python objects are not, because reading \
          them runs code."),
    code("P0445", "the array does not fit memory",
         "The product of the extents overflows."),
    code("P0446", "the file cannot be written",
         "The operating system refused; the message has its reason. A file that was there before is unchanged."),
    code("P0500", "the program ended in an unexpected way",
         "The engine could not carry the program out for a reason that is not the program's fault. Please \
          report it."),
    code("P0501", "division by zero",
         "An integer division or remainder by zero. Floating-point division by zero is no fault: it gives \
          infinity or NaN."),
    code("P0502", "out of bounds",
         "An element outside its container was accessed. The place names the memlet, the note the index. Ends \
          of ranges are inclusive."),
    code("P0503", "an undefined value was used",
         "An element that nobody wrote reached an output, a condition or an index. Memory is not zero at the \
          start: set it, or use `setzero`."),
    code("P0504", "race",
         "Two iterations of a parallel map access one element, and at least one of them writes without \
          conflict resolution. The result would depend on the order. Make the map sequential, or add a \
          conflict function."),
    code("P0505", "an index overflows",
         "Index or size arithmetic left 64 bits, or gave something that is no integer."),
    code("P0506", "a negative size",
         "A container or range has a size below zero with the values given."),
    code("P0507", "a step is not positive",
         "A map goes up; its step came out zero or negative."),
    code("P0508", "out of fuel",
         "The step limit was reached. Raise it with `--fuel`, or look for a loop that does not end."),
    code("P0509", "a container has no memory",
         "A reference was used before it was set, or an optional argument that was not given was accessed."),
    code("P0510", "out of memory",
         "The memory the program asks for is not there."),
    code("P0511", "a library operation failed",
         "The operation cannot be carried out on these values: a singular matrix, a matrix that is not \
          positive definite, shapes that do not fit."),
    code("P0512", "pop from an empty stream",
         "The stream holds no element."),
    code("P0519", "a transient was overwritten by another one",
         "Two transients that are alive at the same time share bytes of the arena, which the poison mode noticed. \
          This is a defect of Pelton's plan of memory; please report the program. `--arena off` runs without one."),
    code("P0601", "the GTIR file is not readable",
         "The file is damaged, too large, or not JSON."),
    code("P0602", "the GTIR file has the wrong form",
         "Something in the file is not what `gtir-json/1` says; the place gives the path."),
    code("P0603", "an unknown GTIR element",
         "The file uses a kind of expression, statement or type that does not exist."),
    code("P0604", "GTIR text that does not parse",
        "GT4Py's printed form of a program was expected, and something else stands at the line and column. \
         The printed form loses types; prefer gtir-json/1 for exchange."),
    code("P0610", "the GTIR program is ill-formed",
         "The oracle met an expression that has no value: a call of something that is no function, a tuple \
          where a number is needed."),
    code("P0611", "a GTIR argument does not fit",
         "An argument or connectivity table is missing, or has the wrong dimensions."),
    code("P0612", "a domain exceeds a field",
         "The statement writes elements that the output field does not have."),
    code("P0613", "an output depends on an element that does not exist",
         "A field was read outside of its range, or through a skip value, and the value reached an output."),
    code("P0614", "the GTIR program nests too deeply",
         "The oracle recurses on the program and stopped before the end of its stack."),
    code("P0619", "no thread for the GTIR oracle",
         "The oracle runs on a thread with a large stack, and the system did not give one."),
    code("P0650", "the GTIR program nests too deeply",
         "Lowering follows nested expressions down to a limit that real programs stay below."),
    code("P0651", "a scan has no dimension to run along",
         "Give the program a vertical dimension, or the column axis with the arguments."),
    code("P0652", "a field depends on the state of a scan around it",
         "`as_fieldop` makes a field, which has one value per point: inside a stencil, write a scan or a call instead."),
    code("P0653", "an unknown GTIR builtin, or wrong arguments for it",
         "The function does not exist, or not with these arguments."),
    code("P0654", "an unbound GTIR name",
         "Nothing of that name is defined: bind it with a parameter, a function definition or a let."),
    code("P0655", "no thread for lowering",
         "Lowering runs on a thread with a large stack, and the system did not give one."),
    code("P0656", "lowering failed",
         "This is a defect in Pelton; please report the program."),
    code("P0657", "a parameter has no type",
         "Give the type in the program or with the arguments."),
    code("P0658", "a parameter has an unusable type",
         "Parameters are scalars, fields, or tuples of them."),
    code("P0659", "the offset provider lacks an entry",
         "The program shifts along an offset that the arguments do not describe."),
    code("P0660", "the GTIR program is ill-typed",
         "An operation is applied to values it is not defined for. GT4Py's frontend says more."),
    unsupported("P0661", "a domain bound or condition is not computable",
         "Bounds of domains and conditions of statements are integer expressions of scalar parameters."),
    unsupported("P0662", "a domain cannot be inferred",
         "Where an intermediate field is needed depends on values that are only known element by element."),
    code("P0670", "a GTIR argument is missing",
         "Pass a value for the parameter."),
    code("P0671", "a field does not have its parameter's type",
         "Dimensions or element type differ from what the program declares."),
    code("P0672", "a field's strides are unusable",
         "Strides have to be multiples of the element size."),
    code("P0673", "a connectivity has no table",
         "Pass a neighbour table with two dimensions: points and neighbours."),
    code("P0674", "a connectivity's entry is out of range",
         "Entries are 32-bit indices, or the skip value."),
    code("P0675", "a field's coordinates are too large",
         "GTIR coordinates are 32-bit integers."),
    code("P0679", "a field that is written is read-only",
         "The program writes a field whose memory the caller marked read-only."),
    unsupported("P0701", "the native engine is not available",
         "This build or machine has no native engine. Use `--engine interp` or `--engine auto`."),
    unsupported("P0702", "the GTIR oracle runs GTIR only",
         "The oracle evaluates raw GTIR. Use another engine for SDFGs."),
    code("P0703", "the program was not compiled",
         "Generated code was refused by the code generator. This is a defect in Pelton; `--engine interp` runs \
          the program."),
    code("P0704", "a kernel breaks a rule",
         "An internal program failed its verifier. This is a defect in Pelton; `--engine interp` runs the \
          program."),
    unsupported("P0710", "the native engine does not compile this",
         "The program asks for something that is only interpreted so far. `--engine auto` does that by itself."),
    code("P0720", "there is no such rule",
         "The optimizer has no transformation of that name. The message lists all; `pelton explain NAME` prints the \
          page of one."),
    code("P0721", "a rule broke the program",
         "After a transformation the validator found an error. This is a defect in Pelton; `pelton opt --skip NAME` \
          leaves the rule out."),
    code("P0750", "no memory for transients",
         "The system gives no slab of the size that the program's transients need at once. `pelton plan` shows \
          which they are and when they live; smaller sizes, or fewer calls at a time, need less."),
    code("P0751", "the workspace is too small",
         "The memory that was given for transients, or the limit that was set, is less than what they need at \
          once. `pelton plan` shows the plan; the bytes it needs are in its first line."),
    code("P0752", "transients without a size",
         "The size of a transient is negative, does not fit 64 bits, or depends on a symbol that was not given."),
    code("P0799", "no engine",
         "The chosen engine was lost. This is a defect in Pelton."),
    unsupported("P0801", "there is no GPU",
         "No adapter with Vulkan, Metal or DX12 was found. `pelton info --gpu` lists what there is. On Linux, a driver \
          (`mesa-vulkan-drivers` has one in software) and its loader have to be installed."),
    code("P0802", "the driver gives no device",
         "An adapter is there, but its driver refuses to open it, or to run the shaders that tell what it computes \
          right."),
    code("P0803", "the device was lost",
         "The driver reset the device, or it was removed. Arguments hold what they held before the run."),
    code("P0804", "the device has no memory left",
         "A buffer does not fit the device's memory. Arguments hold what they held before the run."),
    code("P0805", "the driver refuses",
         "The driver refused something that Pelton asked for, for a reason that the note gives. It is worth a report."),
    unsupported("P0806", "the device has no float64",
         "The program computes in float64, and the GPU has none. With --allow-f32, its numbers are rounded to float32 \
          where they are uploaded, and computed with as such; how large the errors become is for the user to judge. \
          The native engine has float64."),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Codes in the text of the sources.
    fn collect(folder: &Path, used: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, used);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with("diag/codes.rs")
            {
                let text = std::fs::read_to_string(&path).unwrap();
                let pieces = text.split('"').filter(|piece| {
                    piece.len() == 5
                        && piece.starts_with('P')
                        && piece[1..].bytes().all(|byte| byte.is_ascii_digit())
                });
                used.extend(pieces.map(str::to_owned));
            }
        }
    }

    #[test]
    fn every_code_in_the_sources_is_explained() {
        let mut used = BTreeSet::new();
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut used);
        assert!(used.len() > 50, "the search found {} codes", used.len());
        let missing: Vec<&String> = used.iter().filter(|code| lookup(code).is_none()).collect();
        assert!(missing.is_empty(), "codes without an entry in diag/codes.rs: {missing:?}");
    }

    #[test]
    fn codes_are_in_order_and_unique() {
        assert!(CODES.windows(2).all(|pair| pair[0].code < pair[1].code));
    }
}
