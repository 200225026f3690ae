/* Looks for the end of a chunk in groups of 64 bytes, most of which are ruled out unhashed.
 *
 * The low 16 bits of a gear hash are, by the table of `sidegate/native/cut_rule.py`,
 *
 *     FACTOR * sum(((byte[i - j] ^ 128) + 1) << j  for j in 0..15)   mod 2^16,
 *
 * a sum of products, and so may be had for many positions at once, without a look into
 * the table.  A mask's lowest bits lie in them: where they are not all 0, nothing ends.
 * (byte ^ 128) is the signed byte + 128; with the 1 that is 129 * (2^16 - 1) too much
 * over 16 bytes, which is -129.  The few positions that are left are hashed.
 */
#ifndef SIDEGATE_GEAR_FILTER_H
#define SIDEGATE_GEAR_FILTER_H

#include <stddef.h>
#include <stdint.h>

#define GEAR_GROUP_BYTES 64

/* What is looked for: a hash without the bits of `mask`. */
typedef struct {
    const uint64_t *table;
    uint64_t mask;
    uint16_t factor;
    uint16_t highest; /* the most that the low 16 bits of such a hash can be */
} gear_goal;

/* The hash of the window of 64 bytes before `end`, in quarters side by side: each step of
 * one waits for the step before. */
static inline uint64_t gear_window(const uint8_t *end, const uint64_t *table)
{
    uint64_t oldest = 0, older = 0, newer = 0, newest = 0;
    for (ptrdiff_t i = -16; i < 0; i++) {
        oldest = (oldest << 1) + table[end[i - 48]];
        older = (older << 1) + table[end[i - 32]];
        newer = (newer << 1) + table[end[i - 16]];
        newest = (newest << 1) + table[end[i]];
    }
    return (oldest << 48) + (older << 32) + (newer << 16) + newest;
}

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

/* 0: not here, 1: AVX2, 2: AVX-512. */
static int gear_filter_level(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw"))
        return 2;
    return __builtin_cpu_supports("avx2") != 0;
}

/* The count of bytes of the group `at` up to the first where the hash is as looked for, or -1.
 * Bits of `even` and `odd` tell the positions 0, 2, ... and 1, 3, ... that may be it. */
__attribute__((always_inline)) static inline ptrdiff_t gear_group(
    const gear_goal *goal, const uint8_t *at, uint32_t even, uint32_t odd)
{
    const uint64_t both = (uint64_t)odd << 32 | even, but_one = both & (both - 1);
    if (but_one & (but_one - 1)) { /* three: all positions are cheaper than a window for each */
        uint64_t hash = gear_window(at, goal->table);
        for (ptrdiff_t i = 0; i < GEAR_GROUP_BYTES; i++) {
            hash = (hash << 1) + goal->table[at[i]];
            if (!(hash & goal->mask))
                return i + 1;
        }
        return -1;
    }
    while (even | odd) {
        const ptrdiff_t next_even = even ? 2 * __builtin_ctz(even) : GEAR_GROUP_BYTES;
        const ptrdiff_t next_odd = odd ? 2 * __builtin_ctz(odd) + 1 : GEAR_GROUP_BYTES;
        const ptrdiff_t end = (next_even < next_odd ? next_even : next_odd) + 1;
        if (!(gear_window(at + end, goal->table) & goal->mask))
            return end;
        if (next_even < next_odd)
            even &= even - 1;
        else
            odd &= odd - 1;
    }
    return -1;
}

#define GEAR_AVX2 __attribute__((target("avx2"), always_inline)) static inline

/* The sums over 8 bytes for the positions at, at + 2, ..., at + 30: lanes of 16 bits.
 * Weights are unsigned and bytes signed, so that no pair exceeds 16 bits. */
GEAR_AVX2 __m256i gear_sums_of_8(const uint8_t *at)
{
    const __m256i newest = _mm256_loadu_si256((const __m256i *)(at - 1));
    const __m256i second = _mm256_loadu_si256((const __m256i *)(at - 3));
    const __m256i third = _mm256_loadu_si256((const __m256i *)(at - 5));
    const __m256i oldest = _mm256_loadu_si256((const __m256i *)(at - 7));
    const __m256i newer = _mm256_add_epi16(
        _mm256_maddubs_epi16(_mm256_set1_epi16(0x0102), newest),
        _mm256_maddubs_epi16(_mm256_set1_epi16(0x0408), second));
    const __m256i older = _mm256_add_epi16(
        _mm256_maddubs_epi16(_mm256_set1_epi16(0x1020), third),
        _mm256_maddubs_epi16(_mm256_set1_epi16(0x4080), oldest));
    return _mm256_add_epi16(newer, older);
}

/* The low 16 bits of the hashes: `sums`, and those of 8 bytes before, which are 4 lanes
 * before and partly in `before`, the lanes of the 32 bytes before. */
GEAR_AVX2 __m256i gear_low_bits(__m256i sums, __m256i before, __m256i factor)
{
    const __m256i across = _mm256_permute2x128_si256(before, sums, 0x21);
    const __m256i earlier = _mm256_alignr_epi8(sums, across, 8);
    const __m256i whole = _mm256_add_epi16(sums, _mm256_slli_epi16(earlier, 8));
    return _mm256_mullo_epi16(_mm256_sub_epi16(whole, _mm256_set1_epi16(129)), factor);
}

/* A bit for each lane that is at most `limit`. */
GEAR_AVX2 uint32_t gear_candidates(__m256i first, __m256i second, __m256i limit)
{
    const __m256i packed = _mm256_packs_epi16(
        _mm256_cmpeq_epi16(_mm256_min_epu16(first, limit), first),
        _mm256_cmpeq_epi16(_mm256_min_epu16(second, limit), second));
    /* packs takes the halves in turn */
    return (uint32_t)_mm256_movemask_epi8(_mm256_permute4x64_epi64(packed, 0xD8));
}

__attribute__((target("avx2"))) static ptrdiff_t gear_find_avx2(
    const gear_goal *goal, const uint8_t *data, ptrdiff_t count)
{
    const __m256i factor = _mm256_set1_epi16((short)goal->factor);
    const __m256i limit = _mm256_set1_epi16((short)goal->highest);
    __m256i even_before = gear_sums_of_8(data - 32);
    __m256i odd_before = gear_sums_of_8(data - 31);
    for (ptrdiff_t passed = 0; passed + GEAR_GROUP_BYTES <= count; passed += GEAR_GROUP_BYTES) {
        const uint8_t *at = data + passed;
        const __m256i even = gear_sums_of_8(at);
        const __m256i odd = gear_sums_of_8(at + 1);
        const __m256i low_even = gear_low_bits(even, even_before, factor);
        const __m256i low_odd = gear_low_bits(odd, odd_before, factor);
        even_before = gear_sums_of_8(at + 32);
        odd_before = gear_sums_of_8(at + 33);
        const __m256i high_even = gear_low_bits(even_before, even, factor);
        const __m256i high_odd = gear_low_bits(odd_before, odd, factor);
        const __m256i lowest = _mm256_min_epu16(
            _mm256_min_epu16(low_even, low_odd), _mm256_min_epu16(high_even, high_odd));
        const __m256i hits = _mm256_cmpeq_epi16(_mm256_min_epu16(lowest, limit), lowest);
        if (!_mm256_testz_si256(hits, hits)) {
            const ptrdiff_t end = gear_group(
                goal, at, gear_candidates(low_even, high_even, limit), gear_candidates(low_odd, high_odd, limit));
            if (end >= 0)
                return passed + end;
        }
    }
    return -1;
}

#define GEAR_AVX512 __attribute__((target("avx512f,avx512bw"), always_inline)) static inline

/* The sums over 4 bytes for the positions at, at + 2, ..., at + 62. */
GEAR_AVX512 __m512i gear_sums_of_4(__m512i newest, __m512i oldest)
{
    return _mm512_add_epi16(
        _mm512_maddubs_epi16(_mm512_set1_epi16(0x0102), newest),
        _mm512_maddubs_epi16(_mm512_set1_epi16(0x0408), oldest));
}

GEAR_AVX512 __m512i gear_sums_of_4_at(const uint8_t *at)
{
    return gear_sums_of_4(_mm512_loadu_si512(at - 1), _mm512_loadu_si512(at - 3));
}

/* The same without a look at the 16 bytes before at - 3, 8 lanes that nobody asks for. */
GEAR_AVX512 __m512i gear_last_sums_of_4(const uint8_t *at)
{
    const __mmask64 later = ~(__mmask64)0 << 16;
    return gear_sums_of_4(_mm512_maskz_loadu_epi8(later, at - 1), _mm512_maskz_loadu_epi8(later, at - 3));
}

/* Those over 8: `sums`, and those of 4 bytes before, partly in the lanes `before`. */
GEAR_AVX512 __m512i gear_sums_of_4_and_4(__m512i sums, __m512i before)
{
    return _mm512_add_epi16(sums, _mm512_slli_epi16(_mm512_alignr_epi32(sums, before, 15), 4));
}

/* The low 16 bits of the hashes, of sums over 8. */
GEAR_AVX512 __m512i gear_low_bits_512(__m512i sums, __m512i before, __m512i factor)
{
    const __m512i whole = _mm512_add_epi16(
        sums, _mm512_slli_epi16(_mm512_alignr_epi64(sums, before, 7), 8));
    return _mm512_mullo_epi16(_mm512_sub_epi16(whole, _mm512_set1_epi16(129)), factor);
}

__attribute__((target("avx512f,avx512bw"))) static ptrdiff_t gear_find_avx512(
    const gear_goal *goal, const uint8_t *data, ptrdiff_t count)
{
    const __m512i factor = _mm512_set1_epi16((short)goal->factor);
    const __m512i limit = _mm512_set1_epi16((short)goal->highest);
    __m512i even4_before = gear_last_sums_of_4(data - 64);
    __m512i odd4_before = gear_last_sums_of_4(data - 63);
    __m512i even8_before = gear_sums_of_4_and_4(even4_before, even4_before);
    __m512i odd8_before = gear_sums_of_4_and_4(odd4_before, odd4_before);
    for (ptrdiff_t passed = 0; passed + GEAR_GROUP_BYTES <= count; passed += GEAR_GROUP_BYTES) {
        const uint8_t *at = data + passed;
        const __m512i even4 = gear_sums_of_4_at(at);
        const __m512i odd4 = gear_sums_of_4_at(at + 1);
        const __m512i even8 = gear_sums_of_4_and_4(even4, even4_before);
        const __m512i odd8 = gear_sums_of_4_and_4(odd4, odd4_before);
        const __mmask32 even = _mm512_cmple_epu16_mask(gear_low_bits_512(even8, even8_before, factor), limit);
        const __mmask32 odd = _mm512_cmple_epu16_mask(gear_low_bits_512(odd8, odd8_before, factor), limit);
        even4_before = even4, odd4_before = odd4;
        even8_before = even8, odd8_before = odd8;
        if (even | odd) {
            const ptrdiff_t end = gear_group(goal, at, even, odd);
            if (end >= 0)
                return passed + end;
        }
    }
    return -1;
}

/* The count of bytes of whole groups, of `count` from `data` on, up to the first where the hash
 * is as looked for, or -1.  The 64 bytes before `data` are read. */
static ptrdiff_t gear_find(int level, const gear_goal *goal, const uint8_t *data, ptrdiff_t count)
{
    return level > 1 ? gear_find_avx512(goal, data, count) : gear_find_avx2(goal, data, count);
}

#else

static int gear_filter_level(void)
{
    return 0;
}

static ptrdiff_t gear_find(int level, const gear_goal *goal, const uint8_t *data, ptrdiff_t count)
{
    (void)level, (void)goal, (void)data, (void)count;
    return -1;
}

#endif
#endif
