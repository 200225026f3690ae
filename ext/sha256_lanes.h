/* SHA-256 (FIPS 180-4) of one stream, or of two or three side by side, with the processor's SHA instructions.
 *
 * Two rounds take 4 cycles from state to state, 128 a block, but could start every other cycle: one stream
 * leaves half of the unit idle.  A second one, which waits for nothing of the first, fills it at best to 64 cycles
 * for a block of each, and a third fills what the two leave: 573, 300 and 250 us per MiB (Zen 4 at 3.67 GHz, so
 * 128, 67 and 56 cycles; gcc 12, 2026-11).
 * As in Intel's white paper "Intel SHA Extensions" (Gulley et al., 2013), the schedule is computed
 * three groups of four rounds ahead.
 */
#ifndef SIDEGATE_SHA256_LANES_H
#define SIDEGATE_SHA256_LANES_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_BLOCK_BYTES 64

#if defined(__x86_64__) && defined(__GNUC__)

#include <cpuid.h>
#include <immintrin.h>

/* FIPS 180-4, section 4.2.2. */
static const uint32_t SHA256_CONSTANTS[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/* Asked of the processor itself: older compilers' __builtin_cpu_supports does not know "sha". */
static int sha256_lanes_work(void)
{
    unsigned int a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSSE3) || !(c & bit_SSE4_1))
        return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & (1u << 29)) != 0;
}

#define SHA256_INLINE __attribute__((target("sha,sse4.1"), always_inline)) static inline

/* One stream: its state as the instructions want it, and of the block at hand the state before and 16 words of schedule. */
typedef struct {
    __m128i abef, cdgh, abef_before, cdgh_before, words[4];
    const uint8_t *block;
} sha256_lane;

SHA256_INLINE void sha256_load(sha256_lane *lane, const uint32_t *state, const uint8_t *blocks)
{
    const __m128i badc = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);
    const __m128i hgfe = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B);
    lane->abef = _mm_alignr_epi8(badc, hgfe, 8);
    lane->cdgh = _mm_blend_epi16(hgfe, badc, 0xF0);
    lane->block = blocks;
}

SHA256_INLINE void sha256_begin_block(sha256_lane *lane)
{
    lane->abef_before = lane->abef;
    lane->cdgh_before = lane->cdgh;
}

SHA256_INLINE void sha256_end_block(sha256_lane *lane)
{
    lane->abef = _mm_add_epi32(lane->abef, lane->abef_before);
    lane->cdgh = _mm_add_epi32(lane->cdgh, lane->cdgh_before);
    lane->block += SHA256_BLOCK_BYTES;
}

SHA256_INLINE void sha256_store(const sha256_lane *lane, uint32_t *state)
{
    const __m128i feba = _mm_shuffle_epi32(lane->abef, 0x1B);
    const __m128i dchg = _mm_shuffle_epi32(lane->cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* Rounds 4 * group to 4 * group + 3; `group` is a constant wherever this is inlined, and so is `count`, of streams.
 *
 * Where the schedule stands matters, measured: of two streams behind both pairs of rounds 300 us per MiB,
 * between them 313; of three 254 and 250.
 */
SHA256_INLINE void sha256_group(sha256_lane *lane, const int group, const int count)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i *const now = &lane->words[group & 3];
    __m128i *const next = &lane->words[(group + 1) & 3];
    __m128i *const last = &lane->words[(group + 3) & 3];
    __m128i sum;
    if (group < 4)
        *now = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)lane->block + group), big_endian);
    sum = _mm_add_epi32(*now, _mm_load_si128((const __m128i *)SHA256_CONSTANTS + group));
    lane->cdgh = _mm_sha256rnds2_epu32(lane->cdgh, lane->abef, sum);
    if (count < 3)
        lane->abef = _mm_sha256rnds2_epu32(lane->abef, lane->cdgh, _mm_shuffle_epi32(sum, 0x0E));
    if (group >= 3 && group < 15)
        *next = _mm_sha256msg2_epu32(_mm_add_epi32(*next, _mm_alignr_epi8(*now, *last, 4)), *now);
    if (count == 3)
        lane->abef = _mm_sha256rnds2_epu32(lane->abef, lane->cdgh, _mm_shuffle_epi32(sum, 0x0E));
    if (group >= 1 && group < 13)
        *last = _mm_sha256msg1_epu32(*last, *now);
}

#define SHA256_16_GROUPS(STEP) \
    STEP(0) STEP(1) STEP(2) STEP(3) STEP(4) STEP(5) STEP(6) STEP(7) \
    STEP(8) STEP(9) STEP(10) STEP(11) STEP(12) STEP(13) STEP(14) STEP(15)

/* Takes `count` blocks of 64 bytes into `state`, the eight words of FIPS 180-4. */
__attribute__((target("sha,sse4.1"))) static void sha256_one(
    uint32_t *state, const uint8_t *blocks, size_t count)
{
    sha256_lane lane;
    sha256_load(&lane, state, blocks);
    for (; count; count--) {
        sha256_begin_block(&lane);
#define SHA256_STEP(group) sha256_group(&lane, group, 1);
        SHA256_16_GROUPS(SHA256_STEP)
#undef SHA256_STEP
        sha256_end_block(&lane);
    }
    sha256_store(&lane, state);
}

/* The same for two streams, `count` blocks of each. */
__attribute__((target("sha,sse4.1"))) static void sha256_two(
    uint32_t *first_state, const uint8_t *first_blocks,
    uint32_t *second_state, const uint8_t *second_blocks, size_t count)
{
    sha256_lane first, second;
    sha256_load(&first, first_state, first_blocks);
    sha256_load(&second, second_state, second_blocks);
    for (; count; count--) {
        sha256_begin_block(&first);
        sha256_begin_block(&second);
#define SHA256_STEP(group) \
    sha256_group(&first, group, 2); \
    sha256_group(&second, group, 2);
        SHA256_16_GROUPS(SHA256_STEP)
#undef SHA256_STEP
        sha256_end_block(&first);
        sha256_end_block(&second);
    }
    sha256_store(&first, first_state);
    sha256_store(&second, second_state);
}

/* The same for three.  They want 18 registers of 16 for states and schedules: gcc 12 spills so that the unit stays busy,
 * clang 14 so that each step waits for memory (250 and 418 us per MiB).  With clang it is two, then one. */
__attribute__((target("sha,sse4.1"))) static void sha256_three(
    uint32_t *const states[3], const uint8_t *const starts[3], size_t count)
{
#if defined(__clang__)
    sha256_two(states[0], starts[0], states[1], starts[1], count);
    sha256_one(states[2], starts[2], count);
#else
    sha256_lane first, second, third;
    sha256_load(&first, states[0], starts[0]);
    sha256_load(&second, states[1], starts[1]);
    sha256_load(&third, states[2], starts[2]);
    for (; count; count--) {
        sha256_begin_block(&first);
        sha256_begin_block(&second);
        sha256_begin_block(&third);
#define SHA256_STEP(group) \
    sha256_group(&first, group, 3); \
    sha256_group(&second, group, 3); \
    sha256_group(&third, group, 3);
        SHA256_16_GROUPS(SHA256_STEP)
#undef SHA256_STEP
        sha256_end_block(&first);
        sha256_end_block(&second);
        sha256_end_block(&third);
    }
    sha256_store(&first, states[0]);
    sha256_store(&second, states[1]);
    sha256_store(&third, states[2]);
#endif
}

#else

static int sha256_lanes_work(void)
{
    return 0;
}

/* Never called: whoever asks `sha256_lanes_work` first takes hashlib. */
static void sha256_one(uint32_t *state, const uint8_t *blocks, size_t count)
{
    (void)state, (void)blocks, (void)count;
}

static void sha256_two(
    uint32_t *first_state, const uint8_t *first_blocks,
    uint32_t *second_state, const uint8_t *second_blocks, size_t count)
{
    (void)first_state, (void)first_blocks, (void)second_state, (void)second_blocks, (void)count;
}

static void sha256_three(uint32_t *const states[3], const uint8_t *const starts[3], size_t count)
{
    (void)states, (void)starts, (void)count;
}

#endif
#endif
