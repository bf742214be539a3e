#include "bin/kv-bench/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "proto/base/bytes.h"

namespace kv::bench {

namespace {

/// Draws for the mix have this many bits.
constexpr unsigned mix_bits = 32;
constexpr std::size_t binary_head_bytes = 5;
/// The longest that stands between a key and its value, and behind it.
constexpr std::size_t value_frame_bytes_max = 32;

template <std::integral Integer>
void append_be(std::string& out, Integer value) {
    char bytes[sizeof value];
    store_be(bytes, value);
    out.append(bytes, sizeof bytes);
}

std::string_view verb(Operation operation) noexcept {
    switch (operation) {
        case Operation::get: return "GET";
        case Operation::set: return "SET";
        case Operation::del: return "DEL";
        case Operation::incr: return "INCR";
    }
    return "";
}

/// The request types of the binary protocol; INCR has none: parse_options refuses it.
char binary_type(Operation operation) noexcept {
    switch (operation) {
        case Operation::set: return 0x01;
        case Operation::get: return 0x02;
        case Operation::del: return 0x03;
        case Operation::incr: break;
    }
    return 0x1f;
}

/// All up to the end of the key.
std::string encode_head(Wire wire, Operation operation, const std::string& key,
                        std::size_t value_bytes) {
    const bool is_set = operation == Operation::set;
    switch (wire) {
        case Wire::binary: {
            const std::size_t payload = 2 + key.size() + (is_set ? 4 + value_bytes : 0);
            std::string out(1, binary_type(operation));
            append_be(out, static_cast<std::uint32_t>(payload));
            append_be(out, static_cast<std::uint16_t>(key.size()));
            return out + key;
        }
        case Wire::resp:
            return fmt::format("*{}\r\n${}\r\n{}\r\n${}\r\n{}", is_set ? 3 : 2,
                               verb(operation).size(), verb(operation), key.size(), key);
        case Wire::text: return fmt::format("{} {}", verb(operation), key);
    }
    return {};
}

/// What follows the key: `value`, or with none the end of the request.
char* write_tail(Wire wire, char* at, const std::string_view* value) noexcept {
    const auto put = [&](std::string_view text) { at = std::copy(text.begin(), text.end(), at); };
    switch (wire) {
        case Wire::binary:
            if (value == nullptr) break;
            store_be(at, static_cast<std::uint32_t>(value->size()));
            at += 4;
            put(*value);
            break;
        case Wire::resp:
            put("\r\n");
            if (value == nullptr) break;
            at = fmt::format_to(at, "${}\r\n", value->size());
            put(*value);
            put("\r\n");
            break;
        case Wire::text:
            if (value != nullptr) {
                put(" ");
                put(*value);
            }
            put("\n");
            break;
    }
    return at;
}

RequestTemplate encode(Wire wire, Operation operation, const std::string& key,
                       std::string_view value) {
    RequestTemplate request;
    request.bytes = encode_head(wire, operation, key, value.size());
    request.digits_end = request.bytes.size();
    std::string tail(value.size() + value_frame_bytes_max, '\0');
    char* const end = write_tail(wire, tail.data(), operation == Operation::set ? &value : nullptr);
    request.bytes.append(tail.data(), end);
    return request;
}

/// Writes `number` as exactly `digits` decimals that end at `end`.
void write_digits(char* end, std::uint64_t number, unsigned digits) noexcept {
    static constexpr auto pairs = [] {
        std::array<char, 200> table{};
        for (std::size_t i = 0; i < 100; ++i) {
            table[2 * i] = static_cast<char>('0' + i / 10);
            table[2 * i + 1] = static_cast<char>('0' + i % 10);
        }
        return table;
    }();
    while (digits >= 2) {
        end -= 2;
        std::memcpy(end, pairs.data() + 2 * (number % 100), 2);
        number /= 100;
        digits -= 2;
    }
    if (digits == 1) end[-1] = static_cast<char>('0' + number % 10);
}

/// The same in hexadecimal.
void write_hex(char* end, std::uint64_t number, unsigned digits) noexcept {
    for (; digits > 0; --digits, number >>= 4) *--end = "0123456789abcdef"[number & 15];
}

/// Letters and digits, so that every protocol can carry them.
std::string make_value(std::size_t bytes, std::uint64_t seed) {
    static constexpr std::string_view letters =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    Prng prng = Prng::split(seed, "bench value");
    std::string value(bytes, '\0');
    for (char& c : value) c = letters[prng.below(letters.size())];
    return value;
}

}  // namespace

unsigned key_digits(std::uint64_t keys) noexcept {
    unsigned digits = 1;
    for (std::uint64_t largest = keys - 1; largest >= 10; largest /= 10) ++digits;
    return digits;
}

std::string key_of_zeros(const WorkloadOptions& options, Operation operation) {
    const auto prefix = operation == Operation::incr ? counter_prefix : key_prefix;
    std::string key(options.key_bytes, '0');
    if (options.key_bytes >= key_digits(options.keys) + prefix.size()) {
        key.replace(0, prefix.size(), prefix);
    }
    return key;
}

Workload::Workload(const WorkloadOptions& options)
    : options_(options),
      key_space_(options.keys, options.distribution),
      digits_(key_digits(options.keys)),
      value_(make_value(options.value_bytes.most, options.seed)) {
    KV_ASSERT(options.keys > 0 && options.key_bytes >= digits_, "{} keys in {} bytes", options.keys,
              options.key_bytes);
    for (std::size_t i = 0; i < operations_count; ++i) {
        const auto operation = static_cast<Operation>(i);
        const std::string key = key_of_zeros(options, operation);
        requests_[i] = encode(options.wire, operation, key, value_);
    }
}

BatchWriter::BatchWriter(const Workload& workload, std::size_t batch_max, std::uint64_t stream,
                         std::uint64_t streams)
    : workload_(workload),
      batch_max_(batch_max),
      stream_(stream),
      picker_(workload.key_space(), Prng::split(workload.options().seed, "bench keys", stream),
              workload.options().keys / streams * stream),
      prng_(Prng::split(workload.options().seed, "bench mix", stream)),
      single_(workload.options().mix.single()) {
    double below = 0;
    std::size_t longest = workload.request(Operation::set).bytes.size() + value_frame_bytes_max;
    for (std::size_t i = 0; i < operations_count; ++i) {
        const auto operation = static_cast<Operation>(i);
        below += workload.options().mix.share(operation);
        draws_below_[i] = static_cast<std::uint64_t>(std::llround(std::ldexp(below, mix_bits)));
        longest = std::max(longest, workload.request(operation).bytes.size());
    }
    buffer_.resize(batch_max * longest);
    if (workload.options().unique_values) issued_.reserve(batch_max);
}

void BatchWriter::lay_out(Operation operation) {
    if (laid_out_ == operation) return;
    laid_out_ = operation;
    const std::string& bytes = workload_.request(operation).bytes;
    for (std::size_t i = 0; i < batch_max_; ++i) {
        std::memcpy(buffer_.data() + i * bytes.size(), bytes.data(), bytes.size());
    }
}

Operation BatchWriter::draw_operation() noexcept {
    if (single_) return *single_;
    const std::uint64_t draw = prng_.next() >> (64 - mix_bits);
    std::size_t i = 0;
    while (i + 1 < operations_count && draw >= draws_below_[i]) ++i;
    return static_cast<Operation>(i);
}

char* BatchWriter::write_value(char* at) {
    const WorkloadOptions& options = workload_.options();
    const ByteRange& range = options.value_bytes;
    const std::size_t bytes =
        range.fixed() ? range.most
                      : static_cast<std::size_t>(prng_.between(range.least, range.most));
    const std::string_view value = workload_.value().substr(0, bytes);
    at = write_tail(options.wire, at, &value);
    if (!options.unique_values) return at;
    char* const first = at - bytes -
                        (options.wire == Wire::resp   ? 2
                         : options.wire == Wire::text ? 1
                                                      : 0);
    write_hex(first + 4, options.seed, 4);
    write_hex(first + 9, stream_, 5);
    write_hex(first + unique_bytes, ++writes_, 11);
    issued_.back().value = {first, bytes};
    return at;
}

char* BatchWriter::write(char* at, Operation operation, std::uint64_t key) {
    const WorkloadOptions& options = workload_.options();
    const RequestTemplate& request = workload_.request(operation);
    char* const start = at;
    char* const key_end = at + request.digits_end;
    if (options.unique_values) {
        issued_.push_back({operation, {key_end - options.key_bytes, options.key_bytes}, {}});
    }
    if (operation == Operation::set && !workload_.sets_are_alike()) {
        std::memcpy(at, request.bytes.data(), request.digits_end);
        at = write_value(key_end);
        if (options.wire == Wire::binary) {
            const auto payload = at - start - static_cast<std::ptrdiff_t>(binary_head_bytes);
            store_be(start + 1, static_cast<std::uint32_t>(payload));
        }
    } else {
        at = std::ranges::copy(request.bytes, at).out;
    }
    write_digits(key_end, key, workload_.digits());
    return at;
}

std::string_view BatchWriter::next(std::size_t count) {
    KV_ASSERT(count <= batch_max_);
    if (single_ && alike(*single_)) {
        lay_out(*single_);
        const RequestTemplate& request = workload_.request(*single_);
        const std::size_t stride = request.bytes.size();
        char* end = buffer_.data() + request.digits_end;
        for (std::size_t i = 0; i < count; ++i, end += stride) {
            write_digits(end, picker_.next(), workload_.digits());
        }
        return {buffer_.data(), count * stride};
    }
    laid_out_.reset();
    issued_.clear();
    char* at = buffer_.data();
    for (std::size_t i = 0; i < count; ++i) {
        const Operation operation = draw_operation();
        at = write(at, operation, picker_.next());
    }
    return {buffer_.data(), at};
}

std::string_view BatchWriter::write(std::span<const OpenRequest> requests) {
    KV_ASSERT(requests.size() <= batch_max_);
    const auto same = [&](const OpenRequest& each) {
        return each.operation == requests.front().operation;
    };
    if (!requests.empty() && alike(requests.front().operation) &&
        std::ranges::all_of(requests, same)) {
        lay_out(requests.front().operation);
        const RequestTemplate& request = workload_.request(requests.front().operation);
        const std::size_t stride = request.bytes.size();
        char* end = buffer_.data() + request.digits_end;
        for (const OpenRequest& each : requests) {
            write_digits(end, each.key, workload_.digits());
            end += stride;
        }
        return {buffer_.data(), requests.size() * stride};
    }
    laid_out_.reset();
    issued_.clear();
    char* at = buffer_.data();
    for (const OpenRequest& each : requests) at = write(at, each.operation, each.key);
    return {buffer_.data(), at};
}

std::string_view BatchWriter::load(std::uint64_t first, std::size_t count) {
    KV_ASSERT(count <= batch_max_ && first + count <= workload_.options().keys);
    laid_out_.reset();
    issued_.clear();
    char* at = buffer_.data();
    for (std::size_t i = 0; i < count; ++i) at = write(at, Operation::set, first + i);
    return {buffer_.data(), at};
}

}  // namespace kv::bench
