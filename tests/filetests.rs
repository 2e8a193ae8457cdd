//! Runs `tests/filetests/**/*.pel`: the header of a file is the command.
//!
//! ```text
//! ; test parse                    text and graph are inverse (always checked for files that parse)
//! ; test print                    the printed graph is the snapshot beside the file
//! ; test run                      runs on every engine there is, plainly and checked, and gives what is expected
//! ; test compile native           native code takes it
//! ; test checked                  runs in checked mode only, and gives what is expected
//! ; test checked P0502            checked mode stops with that fault
//! ; test fault P0501              every mode stops with that fault
//! ; test error P0040              reading, lowering or validating finds that error
//! ; test warning P0118            validating finds that warning, and no error
//! ; set N = 4                     a symbol
//! ; input A = [1.0, 2.0]          elements in row-major order; a scalar stands without brackets;
//!                                 arrays without input start as zeros
//! ; expect A = [2.0, 4.0]         afterwards, bit for bit (a NaN is a NaN); `_` is any value
//! ; runs 2                        called twice with the same instance; expectations are for the last call
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use libtest_mimic::{Arguments as Command, Failed, Trial};

use pelton::diag::Diagnostic;
use pelton::entity::Name;
use pelton::exec::load::finish;
use pelton::exec::{Engine, Format, Prepared, Settings};
use pelton::front::pel;
use pelton::interp::{Options, Outcome};
use pelton::ir::canonical::{canonical, difference, strip_code};
use pelton::ir::{Data, DataKind, Program};
use pelton::memory::{Arguments, Binding};
use pelton::scalar::{DType, Scalar, Type};
use pelton::symbolic::Env;

fn main() {
    let command = Command::from_args();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/filetests");
    let mut paths = Vec::new();
    find(&root, &mut paths);
    paths.sort();
    let mut trials = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let name = path.strip_prefix(&root).unwrap_or(&path).display().to_string();
        let case = Case::read(path, text);
        if case.tests.is_empty() {
            trials.push(Trial::test(name.clone(), || Err(Failed::from("the header has no `; test` line"))));
        }
        for test in case.tests.clone() {
            let case = case.clone();
            trials.push(Trial::test(format!("{name}::{}", test.replace(' ', "_")), move || case.run(&test)));
        }
    }
    libtest_mimic::run(&command, trials).exit();
}

fn find(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            find(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "pel") {
            found.push(path);
        }
    }
}

type Check = Result<(), Failed>;

/// A file with its header.
#[derive(Clone)]
struct Case {
    path: PathBuf,
    text: String,
    tests: Vec<String>,
    symbols: Vec<(String, String)>,
    inputs: Vec<(String, String)>,
    expected: Vec<(String, String)>,
    runs: usize,
}

impl Case {
    fn read(path: PathBuf, text: String) -> Case {
        let mut case = Case {
            path,
            text: text.clone(),
            tests: Vec::new(),
            symbols: Vec::new(),
            inputs: Vec::new(),
            expected: Vec::new(),
            runs: 1,
        };
        for line in text.lines().filter_map(|line| line.strip_prefix("; ")) {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            let pair = || {
                rest.split_once('=').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            };
            match word {
                "test" => case.tests.push(rest.trim().to_owned()),
                "set" => case.symbols.extend(pair()),
                "input" => case.inputs.extend(pair()),
                "expect" => case.expected.extend(pair()),
                "runs" => case.runs = rest.trim().parse().unwrap_or(1),
                _ => {}
            }
        }
        case
    }

    fn run(&self, test: &str) -> Check {
        let words: Vec<&str> = test.split_whitespace().collect();
        match words[..] {
            ["error", code] => self.finds(code, true),
            ["warning", code] => self.finds(code, false),
            ["parse"] => self.survives_text(),
            ["print"] => {
                let printed = pel::print(&canonical(&pel::parse(&self.text)?));
                let stem = self.path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
                let mut settings = insta::Settings::clone_current();
                settings.set_snapshot_path(self.path.parent().unwrap_or(Path::new(".")).join("snapshots"));
                settings.set_prepend_module_to_snapshot(false);
                settings.set_omit_expression(true);
                settings.bind(|| insta::assert_snapshot!(stem.unwrap_or_default(), printed));
                Ok(())
            }
            ["run"] => {
                self.survives_text()?;
                self.gives_what_is_expected(Engine::Interp, false)?;
                self.gives_what_is_expected(Engine::Interp, true)?;
                // What native code refuses, `auto` interprets; what it takes has to give the same bits.
                if Prepared::new(&self.program()?, Engine::Native, false)?.engine() != Engine::Native {
                    return Ok(());
                }
                for any_sizes in [false, true] {
                    let settings = Settings { any_sizes, ..Settings::default() };
                    self.gives_with(Engine::Native, false, settings)?;
                }
                match pelton::back::gpu::open() {
                    Ok(_) => self.gives_what_is_expected(Engine::Gpu, false),
                    Err(_) => Ok(()),
                }
            }
            ["compile", "native"] => {
                let prepared = Prepared::new(&self.program()?, Engine::Native, false)?;
                match prepared.engine() {
                    Engine::Native => Ok(()),
                    _ => Err(format!("not compiled: {}", prepared.why()).into()),
                }
            }
            ["checked"] => self.gives_what_is_expected(Engine::Interp, true),
            ["checked", code] => self.faults(code, &[true]),
            ["fault", code] => self.faults(code, &[false, true]),
            _ => Err(format!("unknown command `; test {test}`").into()),
        }
    }

    /// The program, lowered and valid.
    fn program(&self) -> Result<Program, Failed> {
        let loaded = finish(pel::parse(&self.text)?, Format::Pel, Vec::new());
        match loaded.diagnostics.into_iter().find(Diagnostic::is_error) {
            Some(problem) => Err(problem.into()),
            None => Ok(loaded.program),
        }
    }

    fn finds(&self, code: &str, error: bool) -> Check {
        let found = match pel::parse(&self.text) {
            Err(problem) => vec![problem],
            Ok(program) => finish(program, Format::Pel, Vec::new()).diagnostics,
        };
        let list = || found.iter().map(Diagnostic::to_string).collect::<Vec<_>>().join("\n");
        if !found.iter().any(|finding| finding.code == code && finding.is_error() == error) {
            return Err(format!("expected {code}, found\n{}", list()).into());
        }
        // A file shows one mistake: other findings would hide what it is about.
        let others = |finding: &&Diagnostic| finding.is_error() && finding.code != code;
        match found.iter().find(others) {
            Some(_) => Err(format!("expected only {code}, found\n{}", list()).into()),
            None => Ok(()),
        }
    }

    fn survives_text(&self) -> Check {
        let mut before = canonical(&pel::parse(&self.text)?);
        strip_code(&mut before);
        let text = pel::print(&before);
        let after = canonical(&pel::parse(&text)?);
        match difference(&before, &after) {
            None => Ok(()),
            Some((before, after)) => Err(format!("was  {before}\nnow  {after}\n{text}").into()),
        }
    }

    fn gives_what_is_expected(&self, engine: Engine, checked: bool) -> Check {
        self.gives_with(engine, checked, Settings::default())
    }

    fn gives_with(&self, engine: Engine, checked: bool, settings: Settings) -> Check {
        let program = self.program()?;
        let mut args = self.arguments(&program)?;
        let prepared = Prepared::with(Arc::new(program.clone()), engine, checked, settings)?;
        for _ in 0..self.runs {
            match prepared.run(&mut args, &options(checked))? {
                Outcome::Done(_) => {}
                Outcome::Trap(fault) => return Err(format!("{engine}, checked: {checked}: {fault}").into()),
            }
        }
        if self.expected.is_empty() {
            return Err("nothing is expected".into());
        }
        for (name, expected) in &self.expected {
            let found = elements(&program, &args, name)?;
            let wanted = words(expected);
            let same = found.len() == wanted.len()
                && found.iter().zip(&wanted).all(|(&found, wanted)| {
                    wanted == "_"
                        || number(found.dtype(), wanted).is_some_and(|wanted| is_same(found, wanted))
                });
            if !same {
                let found: Vec<String> =
                    found.iter().map(|&value| pelton::check::compare::show(value)).collect();
                let text = format!(
                    "{engine}, checked: {checked}: {name}\nexpected {expected}\nfound    [{}]",
                    found.join(", ")
                );
                return Err(text.into());
            }
        }
        Ok(())
    }

    fn faults(&self, code: &str, modes: &[bool]) -> Check {
        let program = self.program()?;
        for &checked in modes {
            let mut args = self.arguments(&program)?;
            let prepared = Prepared::new(&program, Engine::Interp, checked)?;
            let mut outcome = prepared.run(&mut args, &options(checked))?;
            for _ in 1..self.runs {
                outcome = prepared.run(&mut args, &options(checked))?;
            }
            match outcome {
                Outcome::Trap(fault) if fault.kind.code() == code => {
                    if fault.place.is_empty() {
                        return Err(format!("the fault names no place: {fault}").into());
                    }
                }
                Outcome::Trap(fault) => return Err(format!("expected {code}, found {fault}").into()),
                Outcome::Done(_) => {
                    return Err(format!("expected {code}, but it ran (checked: {checked})").into());
                }
            }
        }
        Ok(())
    }

    fn arguments(&self, program: &Program) -> Result<Arguments<'static>, Failed> {
        let graph = program.root_graph().ok_or("no graph")?;
        let mut args = Arguments::new();
        let mut values = Symbols(Vec::new());
        for (name, text) in &self.symbols {
            let id = program.names.lookup(name).ok_or_else(|| format!("nothing is called {name}"))?;
            let dtype = graph.symbol_type(id);
            let value = number(dtype, text).ok_or_else(|| format!("{text} is no {dtype}"))?;
            values.0.push((id, value));
            args.insert_scalar(name, value);
        }
        for (&id, data) in graph.data.iter().filter(|(_, data)| !data.transient) {
            let name = program.names.get(id);
            let text = self.inputs.iter().find(|(input, _)| input == name).map(|(_, text)| text.as_str());
            let (dtype, lanes) = element_type(data)?;
            if let (DataKind::Scalar(_), Some(text)) = (&data.kind, text) {
                let value = number(dtype, text).ok_or_else(|| format!("{text} is no {dtype}"))?;
                args.insert_scalar(name, value);
                continue;
            }
            let mut shape = Vec::new();
            for &extent in data.shape() {
                let extent =
                    program.exprs.eval(extent, &values).map_err(|e| format!("shape of {name}: {e}"))?;
                shape.push(usize::try_from(extent).map_err(|_| format!("{name} has a negative size"))?);
            }
            let count = shape.iter().product::<usize>() * lanes;
            let mut bytes = vec![0; count * dtype.bytes()];
            let given = text.map(words).unwrap_or_default();
            if text.is_some() && given.len() != count {
                return Err(format!("{name} has {count} elements, {} are given", given.len()).into());
            }
            for (text, place) in given.iter().zip(bytes.chunks_mut(dtype.bytes())) {
                let value = number(dtype, text).ok_or_else(|| format!("{text} is no {dtype}"))?;
                value.write_le_bytes(place);
            }
            args.insert_array(name, data.ty, dtype.bytes() * lanes, &shape, bytes);
        }
        Ok(args)
    }
}

fn options(checked: bool) -> Options {
    Options { checked, fuel: Some(10_000_000), ..Options::default() }
}

struct Symbols(Vec<(Name, Scalar)>);

impl Env for Symbols {
    fn symbol(&self, name: Name) -> Option<Scalar> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

fn element_type(data: &Data) -> Result<(DType, usize), Failed> {
    match data.ty {
        Type::Scalar(dtype) => Ok((dtype, 1)),
        Type::Vector(dtype, lanes) => Ok((dtype, lanes.into())),
        _ => Err("arguments of filetests are made of numbers".into()),
    }
}

/// All numbers of an argument in row-major order.
fn elements(program: &Program, args: &Arguments<'_>, name: &str) -> Result<Vec<Scalar>, Failed> {
    let graph = program.root_graph().ok_or("no graph")?;
    let data = program.names.lookup(name).and_then(|id| graph.data.get(&id));
    let (dtype, _) = element_type(data.ok_or_else(|| format!("no container is called {name}"))?)?;
    match args.get(name) {
        Some(Binding::Array { buffer, .. }) => {
            let bytes = args.buffers[*buffer].bytes();
            Ok(bytes.chunks(dtype.bytes()).filter_map(|chunk| Scalar::from_le_bytes(dtype, chunk)).collect())
        }
        Some(Binding::Scalar(value)) => Ok(vec![*value]),
        _ => Err(format!("{name} is no argument").into()),
    }
}

/// The numbers of `[a, (b, c), ...]`, brackets of any nesting.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut in_parentheses = false;
    for letter in text.chars() {
        match letter {
            '(' => in_parentheses = true,
            ')' => in_parentheses = false,
            '[' | ']' => continue,
            ',' if !in_parentheses => {
                words.push(std::mem::take(&mut word));
                continue;
            }
            _ => {}
        }
        word.push(letter);
    }
    words.push(word);
    words.into_iter().map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
}

fn number(dtype: DType, text: &str) -> Option<Scalar> {
    if let Some((re, im)) =
        text.strip_prefix('(').and_then(|t| t.strip_suffix(')')).and_then(|t| t.split_once(','))
    {
        let part = |text: &str| text.trim().parse::<f64>().ok();
        let (re, im) = (part(re)?, part(im)?);
        return match dtype {
            DType::C64 => Some(Scalar::C64(num_complex::Complex::new(re as f32, im as f32))),
            DType::C128 => Some(Scalar::C128(num_complex::Complex::new(re, im))),
            _ => None,
        };
    }
    pel::scalar_from_text(dtype, text)
}

fn is_same(a: Scalar, b: Scalar) -> bool {
    a.same_bits(b) || (a.as_f64().is_nan() && b.as_f64().is_nan())
}
