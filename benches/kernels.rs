//! The kernel table: loops that stand for what weather and climate codes do, beside C++.
//!
//! ```text
//! cargo bench --bench kernels [-- FILTER] [--dump kernel|clif|asm]
//! ```
//!
//! Each kernel is a program in `benches/kernels`, run through the native engine at sizes that fit the first-level
//! cache, the second-level cache, and memory. Where `g++` is installed, `peer.cpp` is compiled (`-O3 -march=native
//! -ffast-math`) and timed in turn with ours, on the processor time of the thread. A ratio above 1 says that ours is
//! faster; it is the median over the rounds. All work on the same memory, filled anew before each run. Results are
//! compared too: the column `error` is the largest relative difference.

use std::ffi::{CString, c_int, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use pelton::exec::load::examine_bytes;
use pelton::exec::{Engine, Mode, Options, Prepared, Settings};
use pelton::ir::Program;
use pelton::memory::Arguments;
use pelton::scalar::{DType, Scalar, Type};

#[path = "support/allocator.rs"]
mod allocator;
#[path = "support/library.rs"]
mod library;
#[path = "support/statistics.rs"]
mod statistics;
use library::Library;
use statistics::median;

/// An array of a kernel: name, element type, extents as positions of sizes (or fixed numbers, negative).
type Array = (&'static str, DType, &'static [i64]);

struct Kernel {
    name: &'static str,
    text: &'static str,
    arrays: &'static [Array],
    sizes: &'static [&'static str],
    cases: &'static [(&'static str, &'static [i64])],
    /// Operations of the innermost loop, to choose the repeat count.
    points: fn(&[i64]) -> i64,
    /// Bytes per point between caches and memory, the lines that stores read first included, where only memory counts.
    moved: Option<f64>,
}

const F: DType = DType::F64;
const KERNELS: &[Kernel] = &[
    Kernel {
        name: "triad",
        text: include_str!("kernels/triad.pel"),
        arrays: &[("a", F, &[0]), ("b", F, &[0]), ("c", F, &[0])],
        sizes: &["N"],
        cases: &[("L1", &[1000]), ("L2", &[16000]), ("memory", &[8_000_000])],
        points: |n| n[0],
        moved: Some(32.0),
    },
    Kernel {
        name: "laplacian",
        text: include_str!("kernels/laplacian.pel"),
        arrays: &[("o", F, &[0, 1]), ("a", F, &[0, 1])],
        sizes: &["N", "M"],
        cases: &[("L1", &[42, 42]), ("L2", &[162, 162]), ("memory", &[2900, 2900])],
        points: |n| n[0] * n[1],
        moved: Some(24.0),
    },
    Kernel {
        name: "hdiff",
        text: include_str!("kernels/hdiff.pel"),
        arrays: &[("o", F, &[0, 1]), ("a", F, &[0, 1]), ("c", F, &[0, 1])],
        sizes: &["N", "M"],
        cases: &[("L1", &[36, 36]), ("L2", &[132, 132]), ("memory", &[2000, 2000])],
        points: |n| n[0] * n[1] * 4,
        moved: Some(32.0),
    },
    Kernel {
        name: "neighbour_k",
        text: include_str!("kernels/neighbour_k.pel"),
        arrays: &[("o", F, &[0, 2]), ("f", F, &[1, 2]), ("t", DType::I32, &[0, -4])],
        sizes: &["E", "V", "K"],
        cases: &[("L1", &[24, 24, 64]), ("L2", &[400, 400, 64]), ("memory", &[100_000, 100_000, 64])],
        points: |n| n[0] * n[2],
        moved: None,
    },
    Kernel {
        name: "neighbour_e",
        text: include_str!("kernels/neighbour_e.pel"),
        arrays: &[("o", F, &[2, 0]), ("f", F, &[2, 1]), ("t", DType::I32, &[-4, 0])],
        sizes: &["E", "V", "K"],
        cases: &[("L1", &[400, 400, 3]), ("L2", &[2000, 2000, 10]), ("memory", &[100_000, 100_000, 64])],
        points: |n| n[0] * n[2],
        moved: None,
    },
    Kernel {
        name: "tridiagonal",
        text: include_str!("kernels/tridiagonal.pel"),
        arrays: &[
            ("x", F, &[0, 1]),
            ("w", F, &[0, 1]),
            ("d", F, &[0, 1]),
            ("a", F, &[0, 1]),
            ("b", F, &[0, 1]),
            ("c", F, &[0, 1]),
        ],
        sizes: &["K", "N"],
        cases: &[("L1", &[40, 16]), ("L2", &[60, 128]), ("memory", &[60, 100_000])],
        points: |n| n[0] * n[1] * 3,
        moved: None,
    },
    Kernel {
        name: "sum",
        text: include_str!("kernels/sum.pel"),
        arrays: &[("s", F, &[-1]), ("a", F, &[0])],
        sizes: &["N"],
        cases: &[("L1", &[2000]), ("L2", &[32_000]), ("memory", &[8_000_000])],
        points: |n| n[0],
        moved: None,
    },
    Kernel {
        name: "product",
        text: include_str!("kernels/product.pel"),
        arrays: &[("c", F, &[0, 0]), ("a", F, &[0, 0]), ("b", F, &[0, 0])],
        sizes: &["N"],
        cases: &[("L1", &[48]), ("L2", &[192]), ("memory", &[768])],
        points: |n| n[0] * n[0] * n[0],
        moved: None,
    },
    Kernel {
        name: "exponential",
        text: include_str!("kernels/exponential.pel"),
        arrays: &[("o", F, &[0]), ("a", F, &[0])],
        sizes: &["N"],
        cases: &[("L1", &[1500]), ("L2", &[12_000]), ("memory", &[4_000_000])],
        points: |n| n[0] * 8,
        moved: None,
    },
];

type Peer = unsafe extern "C" fn(*const *mut c_void, *const i64, i64);

unsafe extern "C" {
    fn clock_gettime(clock: c_int, time: *mut [i64; 2]) -> c_int;
}

/// Processor time of this thread in seconds.
fn now() -> f64 {
    let mut time = [0; 2];
    // SAFETY: the clock exists on Linux, and the structure is two 64-bit numbers.
    unsafe { clock_gettime(3, &raw mut time) };
    time[0] as f64 + time[1] as f64 * 1e-9
}

/// The C++ library, if there is a compiler.
fn peers(folder: &Path) -> Option<Library> {
    let (source, library) = (folder.join("peer.cpp"), folder.join("peer.so"));
    std::fs::write(&source, include_str!("kernels/peer.cpp")).ok()?;
    let built = Command::new("g++")
        .args(["-O3", "-march=native", "-ffast-math", "-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status();
    if !built.is_ok_and(|status| status.success()) {
        eprintln!("no g++: ours alone");
        return None;
    }
    let name = CString::new(library.to_str()?).ok()?;
    // SAFETY: the library was just built and has no initialisers.
    unsafe { Library::open(&name) }
}

/// Numbers in (0.5, 1.5), repeatable.
fn fill(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            0.5 + (state >> 11) as f64 / (1u64 << 53) as f64
        })
        .collect()
}

fn bytes(kernel: &Kernel, array: &Array, count: usize, position: usize, sizes: &[i64]) -> Vec<u8> {
    let numbers = fill(count, position as u64 + 1);
    if array.1 == DType::I32 {
        // A table of vertices, close to each other as real meshes are.
        let vertices = sizes[1] as f64;
        let edges = sizes[0] as usize;
        let at = |index: usize| if kernel.name == "neighbour_k" { index / 4 } else { index % edges };
        return numbers
            .iter()
            .enumerate()
            .flat_map(|(index, x)| {
                let near = at(index) as f64 + (x - 1.0) * 40.0;
                (near.rem_euclid(vertices) as i32).to_le_bytes()
            })
            .collect();
    }
    // The diagonal of the tridiagonal system dominates.
    let shift = if kernel.name == "tridiagonal" && array.0 == "b" { 4.0 } else { 0.0 };
    numbers.iter().flat_map(|x| (x + shift).to_le_bytes()).collect()
}

fn load(text: &str) -> Arc<Program> {
    let loaded = examine_bytes(text.as_bytes()).expect("the program parses");
    let problems: Vec<String> = loaded.errors().map(ToString::to_string).collect();
    assert!(problems.is_empty(), "{problems:?}");
    Arc::new(loaded.program)
}

/// On one thread.
fn prepare(program: &Arc<Program>, mode: Mode) -> Prepared {
    let settings = Settings { mode, threads: Some(1), keep_text: true, ..Settings::default() };
    Prepared::with(Arc::clone(program), Engine::Native, false, settings).expect("the program is compiled")
}

fn main() {
    let mut filter = String::new();
    let mut dump = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match &*argument {
            "--bench" => {}
            "--dump" => dump = arguments.next(),
            _ => filter = argument,
        }
    }
    let folder: PathBuf = tempfile::tempdir().expect("a temporary folder").keep();
    let library = if dump.is_some() { None } else { peers(&folder) };
    println!(
        "{:12} {:7} {:>12} {:>14} {:>12} {:>14} {:>9}",
        "kernel", "size", "strict ns/pt", "strict / g++", "fast ns/pt", "fast / g++", "error"
    );
    let mut bandwidths: Vec<(&str, f64)> = Vec::new();
    for kernel in KERNELS.iter().filter(|kernel| kernel.name.contains(&filter)) {
        let program = load(kernel.text);
        if let Some(what) = &dump {
            let prepared = prepare(&program, Mode::Strict);
            let compiled = prepared.compiled().expect("there is machine code");
            let texts = compiled.dump();
            println!(
                "{}",
                match &**what {
                    "kernel" => &texts.kernel,
                    "clif" => &texts.clif,
                    _ => &texts.assembly,
                }
            );
            compiled.vectors().iter().for_each(|report| println!("{report}"));
            continue;
        }
        for (size, numbers) in kernel.cases {
            let fast = measure(kernel, &program, size, numbers, library);
            if let (Some(moved), "memory") = (kernel.moved, *size) {
                bandwidths.push((kernel.name, moved / fast));
            }
        }
    }
    if let Some(&(_, triad)) = bandwidths.iter().find(|(name, _)| *name == "triad") {
        println!("\nBytes per second in memory, fast mode, of those of the triad in this run:");
        for (name, bandwidth) in &bandwidths {
            println!("{name:12} {bandwidth:6.1} GB/s  {:4.0} %", 100.0 * bandwidth / triad);
        }
    }
    let _ = std::fs::remove_dir_all(folder);
}

/// Prints a row; nanoseconds per point in fast mode.
fn measure(
    kernel: &Kernel,
    program: &Arc<Program>,
    size: &str,
    numbers: &[i64],
    library: Option<Library>,
) -> f64 {
    let points = (kernel.points)(numbers);
    let repeats = (1_500_000 / points).max(1);
    let mut arguments = Arguments::new();
    let mut fresh: Vec<Vec<u8>> = Vec::new();
    for (position, array) in kernel.arrays.iter().enumerate() {
        let shape: Vec<usize> =
            array.2.iter().map(|&at| if at < 0 { -at } else { numbers[at as usize] } as usize).collect();
        let count = shape.iter().product();
        let data = bytes(kernel, array, count, position, numbers);
        fresh.push(data.clone());
        arguments.insert_array(array.0, Type::Scalar(array.1), array.1.bytes(), &shape, data);
    }
    for (name, &value) in kernel.sizes.iter().zip(numbers) {
        arguments.insert_scalar(name, Scalar::I64(value));
    }
    arguments.insert_scalar("R", Scalar::I64(repeats));
    let peer: Option<Peer> = library.and_then(|library| {
        let name = CString::new(kernel.name).ok()?;
        let found = library.function(&name)?;
        // SAFETY: the functions of the library have this type.
        Some(unsafe { std::mem::transmute::<*mut c_void, Peer>(found) })
    });
    let ids: Vec<_> = arguments.buffers.iter().map(|(id, _)| id).take(fresh.len()).collect();
    let addresses: Vec<*mut c_void> =
        ids.iter().map(|&id| arguments.buffers[id].bytes_mut().as_mut_ptr().cast()).collect();
    let runs = [Mode::Strict, Mode::Fast].map(|mode| prepare(program, mode));
    // One after the other on the same memory and the same numbers: where arrays lie decides as much as the code does.
    let mut timed = |which: Option<usize>, outputs: Option<&mut Vec<Vec<u8>>>| -> f64 {
        for (&id, fresh) in ids.iter().zip(&fresh) {
            arguments.buffers[id].bytes_mut().copy_from_slice(fresh);
        }
        let start = now();
        match (which, peer) {
            (Some(at), _) => {
                runs[at].run(&mut arguments, &Options::default()).expect("it runs");
            }
            // SAFETY: the arrays have the extents that the function reads and writes.
            (None, Some(peer)) => unsafe { peer(addresses.as_ptr(), numbers.as_ptr(), repeats) },
            (None, None) => return f64::NAN,
        }
        let time = now() - start;
        if let Some(outputs) = outputs {
            *outputs = ids.iter().map(|&id| arguments.buffers[id].bytes_mut().to_vec()).collect();
        }
        time
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    timed(Some(0), Some(&mut ours));
    timed(None, Some(&mut theirs));
    let mut error = 0.0_f64;
    for (ours, theirs) in ours.iter().zip(&theirs).filter(|(ours, _)| ours.len() % 8 == 0) {
        for (x, y) in ours.chunks(8).zip(theirs.chunks(8)) {
            let number = |bytes: &[u8]| f64::from_le_bytes(bytes.try_into().unwrap_or_default());
            let (x, y) = (number(x), number(y));
            if x.to_bits() != y.to_bits() {
                error = error.max((x - y).abs() / y.abs().max(1e-300));
            }
        }
    }
    let mut times = [Vec::new(), Vec::new()];
    let mut ratios = [Vec::new(), Vec::new()];
    for _ in 0..15 {
        let theirs = timed(None, None);
        for at in 0..2 {
            let ours = timed(Some(at), None);
            times[at].push(ours);
            ratios[at].push(theirs / ours);
        }
    }
    let per_point = |times: &Vec<f64>| median(times.clone()) * 1e9 / (points * repeats) as f64;
    println!(
        "{:12} {:7} {:>12.3} {:>14.2} {:>12.3} {:>14.2} {:>9.1e}",
        kernel.name,
        size,
        per_point(&times[0]),
        median(ratios[0].clone()),
        per_point(&times[1]),
        median(ratios[1].clone()),
        error
    );
    per_point(&times[1])
}
