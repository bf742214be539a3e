#pragma once

/// What the generator sends: requests encoded once, whose key digits are patched in place. A batch
/// costs a few nanoseconds per request and no allocation. The same seed sends the same bytes.
///
/// Key number n is "key:" and n in decimal, padded with zeros to key_bytes (without "key:" when
/// there is no room for it). With 16 bytes these are the keys of redis-benchmark.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bin/kv-bench/reply_counter.h"
#include "proto/base/prng.h"

namespace kv::bench {

struct WorkloadOptions {
    Wire wire = Wire::binary;
    std::uint64_t keys = 1'000'000;
    std::size_t key_bytes = 16;
    std::size_t value_bytes = 100;
    double reads = 0;  ///< share of GET; the others are SET
    std::uint64_t seed = 1;
};

/// Digits of the largest key number.
unsigned key_digits(std::uint64_t keys) noexcept;

/// One encoded request with a hole for the key's digits.
struct RequestTemplate {
    std::string bytes;
    std::size_t digits_end = 0;  ///< offset behind the last digit of the key
};

/// What all connections share.
class Workload {
public:
    /// `options` are valid: see parse_options.
    explicit Workload(const WorkloadOptions& options);

    const WorkloadOptions& options() const noexcept { return options_; }
    const RequestTemplate& get() const noexcept { return get_; }
    const RequestTemplate& set() const noexcept { return set_; }
    unsigned digits() const noexcept { return digits_; }

private:
    WorkloadOptions options_;
    unsigned digits_;
    RequestTemplate get_;
    RequestTemplate set_;
};

/// Writes the batches of one connection into its own buffer. A view is valid until the next call.
class BatchWriter {
public:
    BatchWriter(const Workload& workload, std::size_t batch_max, std::uint64_t stream);

    /// `count` requests of random keys in the workload's mix.
    std::string_view random(std::size_t count);
    /// SET of the keys [first, first + count).
    std::string_view load(std::uint64_t first, std::size_t count);

private:
    enum class Layout : std::uint8_t { mixed, all_get, all_set };

    /// Makes the buffer hold batch_max_ copies of one request, unless it does already.
    void lay_out(Layout layout);
    std::string_view random_mixed(std::size_t count);

    const Workload& workload_;
    std::size_t batch_max_;
    Prng prng_;
    std::uint64_t get_below_;  ///< a draw below it means GET
    Layout layout_ = Layout::mixed;
    std::vector<char> buffer_;
};

}  // namespace kv::bench
