#pragma once

/// RESP2, the client's side: commands out, replies in.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proto/decode.h"

namespace kv::resp {

/// Appends `words` (command and arguments) as an array of bulk strings.
void encode_command(std::string& out, std::span<const std::string_view> words);

enum class NodeKind : std::uint8_t {
    simple,   ///< `+text`
    error,    ///< `-PREFIX text`
    integer,  ///< `:integer`
    bulk,     ///< `$n`, text
    nil,      ///< `$-1` and `*-1`
    array,    ///< `*n`; its elements follow in the list of nodes, with their own elements inside
};

/// One value of a reply.
struct Node {
    NodeKind kind = NodeKind::nil;
    std::string_view text;     ///< simple, error (prefix included), bulk; views the input
    std::int64_t integer = 0;  ///< integer; array: the number of elements
};

inline constexpr std::size_t reply_depth_max = 16;
inline constexpr std::size_t reply_nodes_max = std::size_t{1} << 24;
inline constexpr std::size_t reply_line_bytes_max = std::size_t{1} << 20;

/// Takes replies off the front of a stream. Resumable like the parsers (proto/codec.h): the work
/// done for a reply that comes in pieces is not repeated, and the input may move between calls. One
/// per connection; not to be called again after `malformed`.
class ReplyDecoder {
public:
    explicit ReplyDecoder(std::size_t reply_bytes_max = reply_bytes_max_default) noexcept
        : reply_bytes_max_(reply_bytes_max) {}

    DecodeResult next(std::string_view input);

    /// The reply, in preorder: [0] is the whole, an array's elements follow it. Not empty after
    /// DecodeStatus::reply; valid until the next call, its texts as long as the input.
    std::span<const Node> nodes() const noexcept { return nodes_; }
    /// malformed: what is wrong.
    std::string_view problem() const noexcept { return problem_; }

private:
    struct Slice {
        std::size_t offset;
        std::size_t bytes;
    };
    enum class Step : std::uint8_t { value, need_more, malformed };
    Step take_value(std::string_view input);
    Step take_line(std::string_view input, std::string_view& line);
    Step take_bulk(std::string_view input, std::string_view line);
    Step take_array(std::string_view line);
    void add(NodeKind kind, std::size_t offset, std::size_t bytes, std::int64_t integer);
    Step malformed(std::string_view problem) noexcept;

    static constexpr std::size_t no_bulk = SIZE_MAX;

    std::size_t reply_bytes_max_;
    std::size_t at_ = 0;       // bytes of the reply that are decoded
    std::size_t scanned_ = 0;  // no line end before this offset
    std::size_t needed_ = 0;
    std::size_t bulk_bytes_ = no_bulk;  // of the bulk whose header is decoded
    std::vector<Node> nodes_;
    std::vector<Slice> texts_;        // of each node: the input may still move
    std::vector<std::int64_t> open_;  // elements missing, per array around the next value
    std::string_view problem_;
};

}  // namespace kv::resp
