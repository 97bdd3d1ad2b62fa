// Gradients of a depthwise convolution: bfloat16, channels last (N, H, W, C), C a multiple of 16, sums in float32.
// depthwise.py compiles this file with the machine's C compiler (gcc or clang: vector extensions).
#include <stdint.h>
#include <string.h>

#define WORDS 8            // 32-bit words that are read at once
#define LANES (2 * WORDS)  // channels in them: of each word, the even channel is the lower half, the odd one the upper
#define MAX_TAPS 25
typedef float floats __attribute__((vector_size(4 * WORDS)));
typedef uint32_t words __attribute__((vector_size(4 * WORDS)));

typedef struct {
  floats even, odd;
} Pair;

typedef struct {
  long n, height, width, channels, out_height, out_width, kernel, stride, top, left;
} Shape;

static inline Pair load(const uint16_t *from) {
  words w;
  memcpy(&w, from, sizeof w);
  return (Pair){(floats)(w << 16), (floats)(w & 0xffff0000u)};
}

static inline words rounded(floats values) {  // to the nearest even bfloat16, in the upper half of each word
  words bits = (words)values;
  return (bits + 0x7fff + ((bits >> 16) & 1)) & 0xffff0000u;
}

static inline void store(uint16_t *to, Pair values) {
  words w = (rounded(values.even) >> 16) | rounded(values.odd);
  memcpy(to, &w, sizeof w);
}

static inline Pair load_floats(const float *from) {
  Pair pair;
  for (long k = 0; k < WORDS; k++) pair.even[k] = from[2 * k], pair.odd[k] = from[2 * k + 1];
  return pair;
}

static inline void store_floats(float *to, Pair pair) {
  for (long k = 0; k < WORDS; k++) to[2 * k] = pair.even[k], to[2 * k + 1] = pair.odd[k];
}

static inline void add_product(Pair *sum, Pair a, Pair b) {
  sum->even += a.even * b.even;
  sum->odd += a.odd * b.odd;
}

// One row of outputs with one row of inputs: sums[j] += input(x * stride + j - left) * gradient(x).
#define ROW(KERNEL)                                                                                         \
  static void row_##KERNEL(const uint16_t *input, const uint16_t *gradient, Pair *sums, const Shape *s) {   \
    Pair sum[KERNEL];                                                                                       \
    memcpy(sum, sums, sizeof sum);                                                                          \
    for (long x = 0; x < s->out_width; x++) {                                                               \
      Pair g = load(gradient + x * s->channels);                                                            \
      long first = x * s->stride - s->left;                                                                 \
      const uint16_t *at = input + first * s->channels;                                                     \
      if (first >= 0 && first + KERNEL <= s->width) {                                                       \
        _Pragma("GCC unroll 8") for (long j = 0; j < KERNEL; j++)                                           \
            add_product(sum + j, load(at + j * s->channels), g);                                            \
      } else {                                                                                              \
        _Pragma("GCC unroll 8") for (long j = 0; j < KERNEL; j++)                                           \
            if (first + j >= 0 && first + j < s->width) add_product(sum + j, load(at + j * s->channels), g); \
      }                                                                                                     \
    }                                                                                                       \
    memcpy(sums, sum, sizeof sum);                                                                          \
  }
ROW(3)
ROW(5)

// weight_gradient (kernel, kernel, C) float32, kernel 3 or 5.
void depthwise_weight_gradient(const uint16_t *input, const uint16_t *gradient, float *weight_gradient, const Shape *s) {
  for (long c = 0; c < s->channels; c += LANES) {
    Pair sums[MAX_TAPS];
    memset(sums, 0, sizeof sums);
    for (long n = 0; n < s->n; n++)
      for (long y = 0; y < s->out_height; y++)
        for (long i = 0; i < s->kernel; i++) {
          long from = y * s->stride + i - s->top;
          if (from < 0 || from >= s->height) continue;
          const uint16_t *in = input + (n * s->height + from) * s->width * s->channels + c;
          const uint16_t *out = gradient + (n * s->out_height + y) * s->out_width * s->channels + c;
          (s->kernel == 3 ? row_3 : row_5)(in, out, sums + i * s->kernel, s);
        }
    for (long tap = 0; tap < s->kernel * s->kernel; tap++)
      store_floats(weight_gradient + tap * s->channels + c, sums[tap]);
  }
}

// input_gradient (N, H, W, C); weight (kernel, kernel, C) float32, kernel up to 5.
void depthwise_input_gradient(const uint16_t *gradient, const float *weight, uint16_t *input_gradient, const Shape *s) {
  for (long c = 0; c < s->channels; c += LANES) {
    Pair taps[MAX_TAPS];
    for (long tap = 0; tap < s->kernel * s->kernel; tap++) taps[tap] = load_floats(weight + tap * s->channels + c);
    for (long n = 0; n < s->n; n++)
      for (long y = 0; y < s->height; y++)
        for (long x = 0; x < s->width; x++) {
          Pair sum = {0};
          for (long i = (y + s->top) % s->stride; i < s->kernel; i += s->stride) {
            long from = (y + s->top - i) / s->stride;
            if (y + s->top < i || from >= s->out_height) continue;
            const uint16_t *row = gradient + (n * s->out_height + from) * s->out_width * s->channels + c;
            for (long j = (x + s->left) % s->stride; j < s->kernel; j += s->stride) {
              long at = (x + s->left - j) / s->stride;
              if (x + s->left < j || at >= s->out_width) continue;
              add_product(&sum, load(row + at * s->channels), taps[i * s->kernel + j]);
            }
          }
          store(input_gradient + ((n * s->height + y) * s->width + x) * s->channels + c, sum);
        }
  }
}
