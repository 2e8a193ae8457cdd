use pelton::check::compare::{Tolerance, compare};
use pelton::exec::npz::Item;
use pelton::exec::{bind, load, npz};
use pelton::interp;
use pelton::memory::View;
use std::collections::BTreeMap;
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let file = std::env::var("PROG").unwrap_or("program.sdfgz".into());
    let checked = std::env::var("CHECKED").is_ok();
    let verbose = std::env::var("V").is_ok();
    let mut dirs = Vec::new();
    for a in &args {
        let p = std::path::Path::new(a);
        if p.join(&file).exists() {
            dirs.push(p.to_path_buf());
        } else if let Ok(r) = std::fs::read_dir(p) {
            for e in r.flatten() {
                if e.path().join(&file).exists() {
                    dirs.push(e.path());
                }
            }
        }
    }
    dirs.sort();
    let filter = std::env::var("F").unwrap_or_default();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for d in dirs {
        let name = d.file_name().unwrap().to_string_lossy().to_string();
        if !name.contains(&filter) {
            continue;
        }
        let t = std::time::Instant::now();
        let d2 = d.clone();
        let f2 = file.clone();
        let r = std::thread::Builder::new()
            .stack_size(8 << 20)
            .spawn(move || case(&d2, &f2, checked, verbose))
            .unwrap()
            .join();
        let (s, detail) = match r {
            Ok(x) => x,
            Err(e) => (
                "PANIC",
                e.downcast_ref::<String>()
                    .cloned()
                    .or(e.downcast_ref::<&str>().map(|s| s.to_string()))
                    .unwrap_or_default(),
            ),
        };
        *counts.entry(s).or_default() += 1;
        let secs = t.elapsed().as_secs_f64();
        if s != "pass" || verbose || secs > 2.0 {
            println!("{s:8} {name} {secs:.2}s {detail}");
        }
    }
    println!("{counts:?}");
}
fn one(d: &pelton::diag::Diagnostic) -> String {
    d.to_string().replace('\n', " | ")
}
fn case(d: &std::path::Path, file: &str, checked: bool, verbose: bool) -> (&'static str, String) {
    let loaded = match load::load(&d.join(file)) {
        Ok(l) => l,
        Err(e) => return ("load", one(&e)),
    };
    let mut program = loaded.program;
    if let Some(e) = pelton::scalar::lower::lower_program(&mut program).into_iter().find(|d| d.is_error())
        && verbose
    {
        eprintln!("lower {}", one(&e));
    }
    let case: serde_json::Value =
        serde_json::from_slice(&std::fs::read(d.join("case.json")).unwrap()).unwrap();
    let inputs = match npz::read(&d.join("inputs.npz")) {
        Ok(l) => l,
        Err(e) => return ("npz", one(&e)),
    };
    let mut prepared = match interp::Prepared::new(&program) {
        Ok(l) => l,
        Err(e) => return ("prepare", one(&e)),
    };
    let mut a = match bind::bind(&program, inputs) {
        Ok(l) => l,
        Err(e) => return ("bind", one(&e)),
    };
    let options = interp::Options { checked, fuel: Some(2_000_000_000), track_written: true };
    let t = std::time::Instant::now();
    let stats = match prepared.run(&mut a, &options) {
        Ok(interp::Outcome::Done(s)) => s,
        Ok(interp::Outcome::Trap(f)) => return ("trap", one(&pelton::diag::Diagnostic::from(f))),
        Err(e) => return ("args", one(&e)),
    };
    let secs = t.elapsed().as_secs_f64();
    let actual = bind::unbind(&program, &a, &|_| true);
    let expected = npz::read(&d.join("expected.npz")).unwrap();
    let tol = Tolerance {
        relative: case["compare"]["rtol"].as_f64().unwrap_or(1e-6),
        absolute: case["compare"]["atol"].as_f64().unwrap_or(1e-6),
    };
    let mut detail = Vec::new();
    for (n, e) in &expected {
        let Some(x) = actual.get(n) else {
            detail.push(format!("{n}: not produced"));
            continue;
        };
        let (Item::Number(dx), Item::Number(de)) = (&x.item, &e.item) else {
            if x.bytes != e.bytes {
                detail.push(format!("{n}: raw bytes differ {:?} {:?}", x.item.name(), e.item.name()));
            }
            continue;
        };
        let vx = View::new(&x.bytes, 0, *dx, &x.shape, &x.strides());
        let ve = View::new(&e.bytes, 0, *de, &e.shape, &e.strides());
        let r = compare(n, &vx, &ve, tol, stats.written.get(n).map(|w| &w[..]));
        if !r.passes() {
            detail.push(format!(
                "{n}: share {:.3} worst {:?} {:?} undef {}",
                r.share(),
                r.worst,
                r.problem,
                r.undefined
            ));
        } else if verbose && r.undefined > 0 {
            eprintln!("{n}: {} undefined of {}", r.undefined, r.elements);
        }
    }
    if detail.is_empty() {
        ("pass", format!("steps {} {:.2}s", stats.steps, secs))
    } else {
        ("fail", detail.join("; "))
    }
}
