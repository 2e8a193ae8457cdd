//! Matrix products beside OpenBLAS.
//!
//! ```text
//! cargo bench --bench products [-- FILTER]
//! ```
//!
//! Programs of one library node run through the native engine, in turn with OpenBLAS (`libopenblas.so.0`, or what
//! `OPENBLAS_LIBRARY` names, loaded at run time; without it ours run alone). A ratio above 1 says that ours is faster; it
//! is the median over the rounds. Strict mode has twice the operations, because it rounds each product: 0.5 is about
//! what it can reach where memory is not the limit. An OpenBLAS that does not know a new processor takes code for old ones,
//! so `OPENBLAS_CORETYPE` is set to what the processor can do unless it is set already.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::Arc;
use std::time::Instant;

use pelton::exec::load::examine_bytes;
use pelton::exec::{Engine, Mode, Options, Prepared, Settings};
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

type Gemm<T> = unsafe extern "C" fn(
    order: c_int,
    trans_a: c_int,
    trans_b: c_int,
    m: c_int,
    n: c_int,
    k: c_int,
    alpha: T,
    a: *const T,
    lda: c_int,
    b: *const T,
    ldb: c_int,
    beta: T,
    c: *mut T,
    ldc: c_int,
);
type Gemv<T> = unsafe extern "C" fn(
    order: c_int,
    trans: c_int,
    m: c_int,
    n: c_int,
    alpha: T,
    a: *const T,
    lda: c_int,
    x: *const T,
    incx: c_int,
    beta: T,
    y: *mut T,
    incy: c_int,
);

const ROW_MAJOR: c_int = 101;
const PLAIN: c_int = 111;
const TRANSPOSED: c_int = 112;

/// OpenBLAS.
#[derive(Clone, Copy)]
struct Blas(Library);

impl Blas {
    fn open() -> Option<Blas> {
        if std::env::var_os("OPENBLAS_CORETYPE").is_none() {
            #[cfg(target_arch = "x86_64")]
            let core = match std::is_x86_feature_detected!("avx512f") {
                true => "SKYLAKEX",
                false => "HASWELL",
            };
            #[cfg(not(target_arch = "x86_64"))]
            let core = "";
            if !core.is_empty() {
                // SAFETY: there is one thread yet.
                unsafe { std::env::set_var("OPENBLAS_CORETYPE", core) };
            }
        }
        let name = std::env::var("OPENBLAS_LIBRARY").unwrap_or_else(|_| "libopenblas.so.0".to_owned());
        let name = CString::new(name).ok()?;
        // SAFETY: a library that may be loaded.
        let Some(library) = (unsafe { Library::open(&name) }) else {
            println!("no {name:?}: ours alone");
            return None;
        };
        let config = library.function(c"openblas_get_config")?;
        // SAFETY: the function has this type and gives a string that stays.
        let config = unsafe {
            CStr::from_ptr(std::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> *const c_char>(
                config,
            )())
        };
        println!("{}", config.to_string_lossy());
        Some(Blas(library))
    }

    fn use_threads(self, count: usize) {
        let Some(found) = self.0.function(c"openblas_set_num_threads") else { return };
        // SAFETY: the function has this type.
        unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn(c_int)>(found)(count as c_int) };
    }
}

/// A product: of matrices, or of a matrix with a vector on its right or its left.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Matrices,
    Right,
    Left,
}

#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    kind: Kind,
    ty: DType,
    /// The matrix, or the left one of two squares.
    shape: [usize; 2],
    threads: usize,
}

/// The program, which runs its product `R` times.
fn text(case: Case) -> String {
    let ty = if case.ty == DType::F64 { "f64" } else { "f32" };
    let (x, y) = ("A[0:M, 0:N]", "X[0:N]");
    let (shapes, left, right, result) = match case.kind {
        Kind::Matrices => {
            ("A: T[M, N], X: T[N, N], Y: T[M, N]", ("a", x), ("x", "X[0:N, 0:N]"), "Y[0:M, 0:N]")
        }
        Kind::Right => ("A: T[M, N], X: T[N], Y: T[M]", ("a", x), ("x", y), "Y[0:M]"),
        Kind::Left => ("A: T[M, N], X: T[M], Y: T[N]", ("x", "X[0:M]"), ("a", x), "Y[0:N]"),
    };
    let shapes = shapes.replace('T', ty);
    format!(
        "program product({shapes}, M: i64 symbol, N: i64 symbol, R: i64 symbol) {{ for r in 0:R {{ state main {{
            a = access A
            x = access X
            m = library product \"dace.libraries.blas.nodes.matmul.MatMul\" (_a, _b) -> (_c)
            y = access Y
            {} -> m._a : {}
            {} -> m._b : {}
            m._c -> y : {result}
        }} }} }}",
        left.0, left.1, right.0, right.1
    )
}

trait Number: Copy + 'static {
    fn of(number: f64) -> Self;
    const GEMM: &'static CStr;
    const GEMV: &'static CStr;
}

impl Number for f64 {
    fn of(number: f64) -> f64 {
        number
    }
    const GEMM: &'static CStr = c"cblas_dgemm";
    const GEMV: &'static CStr = c"cblas_dgemv";
}

impl Number for f32 {
    fn of(number: f64) -> f32 {
        number as f32
    }
    const GEMM: &'static CStr = c"cblas_sgemm";
    const GEMV: &'static CStr = c"cblas_sgemv";
}

/// Runs OpenBLAS so many times.
fn theirs<T: Number>(blas: Blas, case: Case, [a, x, y]: [*mut c_void; 3], repeats: usize) {
    let (a, x, y) = (a.cast::<T>().cast_const(), x.cast::<T>().cast_const(), y.cast::<T>());
    let [m, n] = case.shape.map(|size| size as c_int);
    let name = if case.kind == Kind::Matrices { T::GEMM } else { T::GEMV };
    let found = blas.0.function(name).expect("OpenBLAS has the C interface");
    let (one, zero) = (T::of(1.0), T::of(0.0));
    for _ in 0..repeats {
        // SAFETY: the functions have these types, and the arrays the extents that they are told.
        unsafe {
            if case.kind == Kind::Matrices {
                let gemm = std::mem::transmute::<*mut c_void, Gemm<T>>(found);
                gemm(ROW_MAJOR, PLAIN, PLAIN, m, n, n, one, a, n, x, n, zero, y, n);
            } else {
                let gemv = std::mem::transmute::<*mut c_void, Gemv<T>>(found);
                let turn = if case.kind == Kind::Left { TRANSPOSED } else { PLAIN };
                gemv(ROW_MAJOR, turn, m, n, one, a, n, x, 1, zero, y, 1);
            }
        }
    }
}

fn arguments(case: Case, repeats: usize) -> Arguments<'static> {
    let [m, n] = case.shape;
    let shapes: [&[usize]; 3] = match case.kind {
        Kind::Matrices => [&[m, n], &[n, n], &[m, n]],
        Kind::Right => [&[m, n], &[n], &[m]],
        Kind::Left => [&[m, n], &[m], &[n]],
    };
    let mut arguments = Arguments::new();
    for (name, shape) in ["A", "X", "Y"].into_iter().zip(shapes) {
        let count: usize = shape.iter().product();
        let numbers = (0..count).map(|i| ((i * 7 + 3) % 11) as f64 / 11.0);
        let data = match case.ty {
            DType::F64 => numbers.flat_map(f64::to_le_bytes).collect(),
            _ => numbers.flat_map(|x| (x as f32).to_le_bytes()).collect(),
        };
        arguments.insert_array(name, Type::Scalar(case.ty), case.ty.bytes(), shape, data);
    }
    for (name, value) in [("M", m), ("N", n), ("R", repeats)] {
        arguments.insert_scalar(name, Scalar::I64(value as i64));
    }
    arguments
}

fn measure(blas: Option<Blas>, case: Case) {
    let [m, n] = case.shape;
    let steps = m * n * if case.kind == Kind::Matrices { n } else { 1 };
    let repeats = (30_000_000 / steps).max(1);
    let loaded = examine_bytes(text(case).as_bytes()).expect("the program parses");
    let problems: Vec<String> = loaded.errors().map(ToString::to_string).collect();
    assert!(problems.is_empty(), "{problems:?}");
    let program = Arc::new(loaded.program);
    let prepare = |mode| {
        let settings = Settings { mode, threads: Some(case.threads), ..Settings::default() };
        Prepared::with(Arc::clone(&program), Engine::Native, false, settings).expect("it is compiled")
    };
    let ours = [prepare(Mode::Strict), prepare(Mode::Fast)];
    let mut arguments = arguments(case, repeats);
    let ids: Vec<_> = arguments.buffers.iter().map(|(id, _)| id).collect();
    let mut times: [Vec<f64>; 3] = Default::default();
    for round in 0..12 {
        let mut all = [f64::NAN; 3];
        for (prepared, time) in ours.iter().zip(&mut all) {
            let start = Instant::now();
            prepared.run(&mut arguments, &Options::default()).expect("it runs");
            *time = start.elapsed().as_secs_f64();
        }
        if let Some(blas) = blas {
            blas.use_threads(case.threads);
            let addresses: [*mut c_void; 3] =
                std::array::from_fn(|i| arguments.buffers[ids[i]].bytes_mut().as_mut_ptr().cast());
            let start = Instant::now();
            match case.ty {
                DType::F64 => theirs::<f64>(blas, case, addresses, repeats),
                _ => theirs::<f32>(blas, case, addresses, repeats),
            }
            all[2] = start.elapsed().as_secs_f64();
        }
        // The first round warms up.
        if round > 0 {
            times.iter_mut().zip(all).for_each(|(times, time)| times.push(time));
        }
    }
    let ratio = |at: usize| median(times[at].iter().zip(&times[2]).map(|(ours, theirs)| theirs / ours));
    let rate = |at: usize| 2.0 * (steps * repeats) as f64 / median(times[at].clone()) / 1e9;
    let ty = if case.ty == DType::F64 { "f64" } else { "f32" };
    println!(
        "{:18} {ty} {:>7} {:>9.1} {:>9.1} {:>9.1} {:>9.2} {:>9.2}",
        case.name,
        case.threads,
        rate(2),
        rate(0),
        rate(1),
        ratio(0),
        ratio(1)
    );
}

const SHAPES: [(&str, Kind, [usize; 2]); 8] = [
    ("gemm 100", Kind::Matrices, [100, 100]),
    ("gemm 300", Kind::Matrices, [300, 300]),
    ("gemm 1000", Kind::Matrices, [1000, 1000]),
    ("gemm 8x2000x2000", Kind::Matrices, [8, 2000]),
    ("gemv N 200", Kind::Right, [200, 200]),
    ("gemv N 4000x5000", Kind::Right, [4000, 5000]),
    ("gemv T 200", Kind::Left, [200, 200]),
    ("gemv T 4000x5000", Kind::Left, [4000, 5000]),
];

fn main() {
    let filter = std::env::args().skip(1).find(|argument| argument != "--bench").unwrap_or_default();
    let blas = Blas::open();
    println!(
        "{:18} {:3} {:>7} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "GFLOP/s", "", "threads", "OpenBLAS", "strict", "fast", "ratio s", "ratio f"
    );
    for (name, kind, shape) in SHAPES.into_iter().filter(|(name, ..)| name.contains(&filter)) {
        for ty in [DType::F64, DType::F32] {
            for threads in [1, 2] {
                measure(blas, Case { name, kind, ty, shape, threads });
            }
        }
    }
}
