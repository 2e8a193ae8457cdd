// The kernels of the table in C++, as a person would write them. p: arrays in the order of the .pel parameters;
// n: sizes in that order without the repeat count; r: repeats.
#include <cmath>
#define KEEP asm volatile("" ::: "memory")
typedef double *__restrict__ f64;
typedef const double *__restrict__ cf64;
typedef const int *__restrict__ ci32;

extern "C" void triad(void **p, const long *n, long r) {
  f64 a = (f64)p[0]; cf64 b = (cf64)p[1], c = (cf64)p[2];
  for (long t = 0; t < r; t++) { for (long i = 0; i < n[0]; i++) a[i] = b[i] + 3.0 * c[i]; KEEP; }
}
extern "C" void laplacian(void **p, const long *n, long r) {
  f64 o = (f64)p[0]; cf64 a = (cf64)p[1]; const long N = n[0], M = n[1];
  for (long t = 0; t < r; t++) {
    for (long i = 1; i < N - 1; i++) for (long j = 1; j < M - 1; j++)
      o[i * M + j] = a[(i - 1) * M + j] + a[(i + 1) * M + j] + a[i * M + j - 1] + a[i * M + j + 1] - 4.0 * a[i * M + j];
    KEEP;
  }
}
extern "C" void neighbour_k(void **p, const long *n, long r) {
  f64 o = (f64)p[0]; cf64 f = (cf64)p[1]; ci32 q = (ci32)p[2]; const long E = n[0], K = n[2];
  for (long t = 0; t < r; t++) {
    for (long e = 0; e < E; e++) {
      const long a = q[e * 4] * K, b = q[e * 4 + 1] * K, c = q[e * 4 + 2] * K, d = q[e * 4 + 3] * K;
      for (long k = 0; k < K; k++) o[e * K + k] = f[a + k] + f[b + k] + f[c + k] + f[d + k];
    }
    KEEP;
  }
}
extern "C" void neighbour_e(void **p, const long *n, long r) {
  f64 o = (f64)p[0]; cf64 f = (cf64)p[1]; ci32 q = (ci32)p[2]; const long E = n[0], V = n[1], K = n[2];
  for (long t = 0; t < r; t++) {
    for (long k = 0; k < K; k++) for (long e = 0; e < E; e++)
      o[k * E + e] = f[k * V + q[e]] + f[k * V + q[E + e]] + f[k * V + q[2 * E + e]] + f[k * V + q[3 * E + e]];
    KEEP;
  }
}
extern "C" void tridiagonal(void **p, const long *n, long r) {
  f64 x = (f64)p[0], w = (f64)p[1]; cf64 d = (cf64)p[2], a = (cf64)p[3], b = (cf64)p[4], c = (cf64)p[5];
  const long K = n[0], N = n[1];
  for (long t = 0; t < r; t++) {
    for (long i = 0; i < N; i++) { w[i] = c[i] / b[i]; x[i] = d[i] / b[i]; }
    for (long k = 1; k < K; k++) for (long i = 0; i < N; i++) {
      const long z = k * N + i; const double m = 1.0 / (b[z] - a[z] * w[z - N]);
      w[z] = c[z] * m; x[z] = (d[z] - a[z] * x[z - N]) * m;
    }
    for (long l = 1; l < K; l++) for (long i = 0; i < N; i++) {
      const long z = (K - 1 - l) * N + i; x[z] = x[z] - w[z] * x[z + N];
    }
    KEEP;
  }
}
extern "C" void hdiff(void **p, const long *n, long r) {
  f64 o = (f64)p[0]; cf64 a = (cf64)p[1], c = (cf64)p[2]; const long N = n[0], M = n[1];
  for (long t = 0; t < r; t++) {
    for (long i = 2; i < N - 2; i++) for (long j = 2; j < M - 2; j++) {
      cf64 q = a + i * M + j;
      const double m = q[0], nn = q[-M], s = q[M], w = q[-1], e = q[1];
      const double nw = q[-M - 1], ne = q[-M + 1], sw = q[M - 1], se = q[M + 1];
      const double lm = 4.0 * m - (nn + s + w + e), le = 4.0 * e - (ne + se + m + q[2]);
      const double lw = 4.0 * w - (nw + sw + q[-2] + m), ls = 4.0 * s - (m + q[2 * M] + sw + se);
      const double ln = 4.0 * nn - (q[-2 * M] + m + nw + ne);
      double fe = le - lm; fe = fe * (e - m) > 0.0 ? 0.0 : fe;
      double fw = lm - lw; fw = fw * (m - w) > 0.0 ? 0.0 : fw;
      double fs = ls - lm; fs = fs * (s - m) > 0.0 ? 0.0 : fs;
      double fn = lm - ln; fn = fn * (m - nn) > 0.0 ? 0.0 : fn;
      o[i * M + j] = m - c[i * M + j] * (fe - fw + fs - fn);
    }
    KEEP;
  }
}
extern "C" void sum(void **p, const long *n, long r) {
  f64 s = (f64)p[0]; cf64 a = (cf64)p[1];
  for (long t = 0; t < r; t++) { double z = 0; for (long i = 0; i < n[0]; i++) z += a[i]; *s = z; KEEP; }
}
extern "C" void product(void **p, const long *n, long r) {
  f64 c = (f64)p[0]; cf64 a = (cf64)p[1], b = (cf64)p[2]; const long N = n[0];
  for (long t = 0; t < r; t++) {
    for (long i = 0; i < N; i++) for (long j = 0; j < N; j++) c[i * N + j] = 0.0;
    for (long i = 0; i < N; i++) for (long k = 0; k < N; k++) for (long j = 0; j < N; j++)
      c[i * N + j] += a[i * N + k] * b[k * N + j];
    KEEP;
  }
}
extern "C" void exponential(void **p, const long *n, long r) {
  f64 o = (f64)p[0]; cf64 a = (cf64)p[1];
  for (long t = 0; t < r; t++) { for (long i = 0; i < n[0]; i++) o[i] = std::exp(a[i]); KEEP; }
}
