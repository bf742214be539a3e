#pragma once

/// What the generator sends: requests encoded once, whose key digits are patched in place. A batch
/// costs a few nanoseconds per request and no allocation. The same seed sends the same bytes.
///
/// Key number n is "key:" and n in decimal, padded with zeros to key_bytes (without "key:" when
/// there is no room for it). With 16 bytes these are the keys of redis-benchmark. INCR has keys of
/// its own, "cnt:" and n: a counter is no place for other values.

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bin/kv-bench/error_class.h"
#include "bin/kv-bench/key_picker.h"
#include "bin/kv-bench/operation.h"
#include "bin/kv-bench/reply_counter.h"
#include "proto/base/units.h"

namespace kv::bench {

struct ByteRange {
    std::size_t least = 100;
    std::size_t most = 100;
    bool fixed() const noexcept { return least == most; }
    bool operator==(const ByteRange&) const = default;
};

struct WorkloadOptions {
    Wire wire = Wire::binary;
    std::uint64_t keys = 1'000'000;
    KeyDistribution distribution;
    std::size_t key_bytes = 16;
    ByteRange value_bytes;  ///< drawn evenly
    Mix mix;
    /// Every value begins with unique_bytes that no other write of the run has, and issued() tells
    /// what was sent.
    bool unique_values = false;
    std::uint64_t seed = 1;
};

/// Hexadecimal digits in front of a unique value: 4 of the seed, 5 of the connection's number, 11
/// of the write's number on this connection.
inline constexpr std::size_t unique_bytes = 20;
inline constexpr std::string_view key_prefix = "key:";
inline constexpr std::string_view counter_prefix = "cnt:";

/// Digits of the largest key number.
unsigned key_digits(std::uint64_t keys) noexcept;

/// The key of `operation` with number 0.
std::string key_of_zeros(const WorkloadOptions& options, Operation operation);

/// One encoded request with a hole for the key's digits. SET: with the longest value.
struct RequestTemplate {
    std::string bytes;
    std::size_t digits_end = 0;  ///< offset behind the last digit of the key, and behind the key
};

/// What all connections share.
class Workload {
public:
    /// `options` are valid: see parse_options.
    explicit Workload(const WorkloadOptions& options);

    const WorkloadOptions& options() const noexcept { return options_; }
    const KeySpace& key_space() const noexcept { return key_space_; }
    const RequestTemplate& request(Operation operation) const noexcept {
        return requests_[static_cast<std::size_t>(operation)];
    }
    /// The longest value; shorter ones are its front.
    std::string_view value() const noexcept { return value_; }
    unsigned digits() const noexcept { return digits_; }
    /// Every SET has the same bytes but for its key.
    bool sets_are_alike() const noexcept {
        return options_.value_bytes.fixed() && !options_.unique_values;
    }

private:
    WorkloadOptions options_;
    KeySpace key_space_;
    unsigned digits_;
    std::string value_;
    std::array<RequestTemplate, operations_count> requests_;
};

/// A request that was written; the views are into the batch.
struct Issued {
    Operation operation = Operation::get;
    std::string_view key;
    std::string_view value;  ///< of SET
};

/// A request that may have to be sent again, in other bytes.
struct OpenRequest {
    std::uint64_t key = 0;
    Instant born;  ///< when it was to be sent first: in an open loop, when it was due
    std::uint16_t shard = 0;
    Operation operation = Operation::get;
    ErrorClass refusal = ErrorClass::other;  ///< the last one
    bool again = false;                      ///< it was refused, or lost, before
};

/// Writes the batches of one connection into its own buffer. A view is valid until the next call.
class BatchWriter {
public:
    /// `stream` of `streams`: the number of this connection among all.
    BatchWriter(const Workload& workload, std::size_t batch_max, std::uint64_t stream,
                std::uint64_t streams);

    /// `count` requests of picked keys in the workload's mix.
    std::string_view next(std::size_t count);
    /// SET of the keys [first, first + count).
    std::string_view load(std::uint64_t first, std::size_t count);
    /// These, of which some may have been written before.
    std::string_view write(std::span<const OpenRequest> requests);
    /// Parts of a request that next() might make, to be given to write().
    Operation draw_operation() noexcept;
    std::uint64_t draw_key() noexcept { return picker_.next(); }
    /// The requests of the last batch, in order; empty without unique_values.
    std::span<const Issued> issued() const noexcept { return issued_; }

private:
    /// Makes the buffer hold batch_max_ copies of one request, unless it does already.
    void lay_out(Operation operation);
    /// All requests of `operation` have the same bytes but for their keys.
    bool alike(Operation operation) const noexcept {
        return !workload_.options().unique_values &&
               (operation != Operation::set || workload_.sets_are_alike());
    }
    /// Writes one request to `at`, and returns where it ends.
    char* write(char* at, Operation operation, std::uint64_t key);
    char* write_value(char* at);

    const Workload& workload_;
    std::size_t batch_max_;
    std::uint64_t stream_;
    KeyPicker picker_;
    Prng prng_;                                                  ///< for the mix and for lengths
    std::array<std::uint64_t, operations_count> draws_below_{};  ///< a draw below: this or before
    std::optional<Operation> single_;
    std::optional<Operation> laid_out_;
    std::uint64_t writes_ = 0;
    std::vector<char> buffer_;
    std::vector<Issued> issued_;
};

}  // namespace kv::bench
