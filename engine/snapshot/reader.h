#pragma once

/// Reads one snapshot file (engine/snapshot/format.h) and hands what it holds to a sink. Files are
/// hostile input: nothing they hold can do more than make reading fail with a file and an offset;
/// memory is bounded by one frame. Owner core only.

#include <string>

#include "engine/snapshot/format.h"
#include "io/reactor.h"
#include "io/task.h"

namespace kv::snapshot {

/// Takes the sections in the order of the file. An error ends the reading; `corrupt` and
/// `unsupported` get the file and the offset added.
class Sink {
public:
    virtual Status on_head(const Head& head) = 0;
    virtual Status on_slots(Bytes payload) = 0;
    virtual Status on_configuration(Bytes payload) = 0;
    /// The next bytes of the stream of entries.
    virtual Status on_entries(Bytes bytes) = 0;
    /// Everything was there.
    virtual Status on_end() = 0;

protected:
    ~Sink() = default;
};

/// Reads the frames of one file in their order; pure.
class Parser {
public:
    Parser(StoreId store, SnapshotFile file, Sink& sink) noexcept
        : store_(store), file_(file), sink_(sink) {}

    /// Takes the frame at the front of `bytes`, which stand at offset() of the file; returns its
    /// length. Errors: `truncated`, `corrupt`, `unsupported`, `foreign`, the sink's.
    Result<std::size_t> take(Bytes bytes);
    std::uint64_t offset() const noexcept { return at_.offset; }
    bool ended() const noexcept { return ended_; }
    const Head& head() const noexcept { return head_; }

private:
    Status take_head(const Frame& frame);
    Status take_end(const Frame& frame);
    Status take_section(const Frame& frame);

    const StoreId store_;
    const SnapshotFile file_;
    Sink& sink_;
    FramePosition at_;
    Head head_;
    std::uint16_t last_section_ = 0;  ///< sections ascend
    std::uint64_t entries_bytes_ = 0;
    bool ended_ = false;
};

/// Checks frames of one file from any of them on, for who hands them on without looking into them;
/// pure. The first is believed about its place among the others, unless it is that of the file.
class FrameCheck {
public:
    FrameCheck(StoreId store, GroupId group, std::uint64_t offset) noexcept
        : store_(store), group_(group), begun_(offset == 0) {
        at_.offset = offset;
    }

    /// Takes the frames that are whole at the front of `bytes`, which stand at offset() of the
    /// file; returns their length. Errors: those of decode_frame() for the first.
    Result<std::size_t> take(Bytes bytes);
    std::uint64_t offset() const noexcept { return at_.offset; }

private:
    const StoreId store_;
    const GroupId group_;
    FramePosition at_;
    bool begun_;
};

/// Reads `directory`/`file`, of `store`. `bytes_done` grows with what was read.
/// Errors: `damaged` (file, offset, reason); `foreign`, of another store or a newer version;
/// `not_found`, `io`; or the sink's.
io::Task<Result<Head>> read_snapshot(io::Reactor& reactor, std::string directory, SnapshotFile file,
                                     StoreId store, Sink& sink, std::uint64_t& bytes_done);

}  // namespace kv::snapshot
