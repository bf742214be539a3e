#pragma once

/// RESP2 and RESP3, the client's side: commands out, replies in. Which of the two a server speaks
/// shows in each value's first byte:
///
///     both     +simple  -error  :integer  $bulk  *array  $-1 and *-1 nil
///     RESP3    _ nil  #t #f boolean  ,double  (big number  !error of n bytes  =verbatim
///              %n map  ~n set  >n push  |n attribute
///
/// The strings and arrays of RESP3 whose length comes last ("$?") are malformed here: no server
/// sends them.

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
    simple,      ///< `+text`
    error,       ///< `-PREFIX text`, `!n`
    integer,     ///< `:integer`
    bulk,        ///< `$n`, text
    nil,         ///< `$-1`, `*-1`, `_`
    array,       ///< `*n`; its elements follow in the list of nodes, with their own elements inside
    boolean,     ///< `#t` and `#f`: integer is 1 or 0
    real,        ///< `,text`: a number, inf, -inf or nan
    big_number,  ///< `(text`: decimal digits, after a sign perhaps
    verbatim,    ///< `=n`: text without the "txt:" in front
    map,         ///< `%n`; 2n elements: a key, its value, the next key
    set,         ///< `~n`; elements
    push,        ///< `>n`; elements. No answer to a request; comes between two of those
    attribute,   ///< `|n`; 2n elements like a map's, and one more: the value they are about
};

/// One value of a reply.
struct Node {
    NodeKind kind = NodeKind::nil;
    std::string_view text;     ///< views the input; an error's has its prefix
    std::int64_t integer = 0;  ///< integer, boolean; of what has elements: their number
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

    /// The reply, in preorder: [0] is the whole, elements follow what they are in. Not empty after
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
    Step take_scalar(std::string_view line);
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
    NodeKind bulk_kind_ = NodeKind::bulk;
    std::vector<Node> nodes_;
    std::vector<Slice> texts_;        // of each node: the input may still move
    std::vector<std::int64_t> open_;  // elements missing, per array around the next value
    std::string_view problem_;
};

}  // namespace kv::resp
