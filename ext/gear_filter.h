/* Passes over groups of 64 bytes in which no chunk can end, 16 positions at a time.
 *
 * The low 16 bits of a gear hash are, by the table of `sidegate/native/cut_rule.py`,
 *
 *     FACTOR * sum(((byte[i - j] ^ 128) + 1) << j  for j in 0..15)   mod 2^16,
 *
 * a sum of products, and so may be had for many positions at once, without a look into
 * the table.  A mask's lowest bits lie in them: where they are not all 0, nothing ends.
 * (byte ^ 128) is the signed byte + 128; with the 1 that is 129 * (2^16 - 1) too much
 * over 16 bytes, which is -129.
 */
#ifndef SIDEGATE_GEAR_FILTER_H
#define SIDEGATE_GEAR_FILTER_H

#include <stddef.h>
#include <stdint.h>

#define GEAR_GROUP_BYTES 64

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

static int gear_filter_works(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") != 0;
}

/* The sums over 8 bytes for the positions at, at + 2, ..., at + 30: lanes of 16 bits.
 * Weights are unsigned and bytes signed, so that no pair exceeds 16 bits. */
__attribute__((target("avx2"), always_inline)) static inline __m256i gear_sums_of_8(const uint8_t *at)
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
__attribute__((target("avx2"), always_inline)) static inline __m256i gear_low_bits(
    __m256i sums, __m256i before, __m256i factor)
{
    const __m256i across = _mm256_permute2x128_si256(before, sums, 0x21);
    const __m256i earlier = _mm256_alignr_epi8(sums, across, 8);
    const __m256i whole = _mm256_add_epi16(sums, _mm256_slli_epi16(earlier, 8));
    return _mm256_mullo_epi16(_mm256_sub_epi16(whole, _mm256_set1_epi16(129)), factor);
}

/* Bytes of whole groups, of `count` from `data` on, before the first group with a position
 * whose low 16 bits are at most `highest`.  The 64 bytes before `data` are read. */
__attribute__((target("avx2"))) static ptrdiff_t gear_filter(
    const uint8_t *data, ptrdiff_t count, uint16_t factor, uint16_t highest)
{
    const __m256i factors = _mm256_set1_epi16((short)factor);
    const __m256i limit = _mm256_set1_epi16((short)highest);
    __m256i even_before = gear_sums_of_8(data - 32);
    __m256i odd_before = gear_sums_of_8(data - 31);
    ptrdiff_t passed = 0;
    for (; passed + GEAR_GROUP_BYTES <= count; passed += GEAR_GROUP_BYTES) {
        const uint8_t *at = data + passed;
        const __m256i even = gear_sums_of_8(at);
        const __m256i odd = gear_sums_of_8(at + 1);
        const __m256i lowest_of_first = _mm256_min_epu16(
            gear_low_bits(even, even_before, factors), gear_low_bits(odd, odd_before, factors));
        even_before = gear_sums_of_8(at + 32);
        odd_before = gear_sums_of_8(at + 33);
        const __m256i lowest = _mm256_min_epu16(
            lowest_of_first,
            _mm256_min_epu16(
                gear_low_bits(even_before, even, factors), gear_low_bits(odd_before, odd, factors)));
        const __m256i hits = _mm256_cmpeq_epi16(_mm256_min_epu16(lowest, limit), lowest);
        if (!_mm256_testz_si256(hits, hits))
            break;
    }
    return passed;
}

#else

static int gear_filter_works(void)
{
    return 0;
}

static ptrdiff_t gear_filter(const uint8_t *data, ptrdiff_t count, uint16_t factor, uint16_t highest)
{
    (void)data, (void)count, (void)factor, (void)highest;
    return 0;
}

#endif
#endif
