#pragma once

/// The names of one simulated disk: which paths exist, and which of them survive. The part of the
/// fault model (see io/sim/sim_disk.h) that concerns directories.
///
/// Paths are strings: "a/b", "/a/b" and "a//b/" are what they look like; "." is where relative
/// paths begin, ".." means nothing. The root of a path always exists. Directories cannot be renamed
/// or removed.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "io/sim/sim_file.h"
#include "proto/base/prng.h"

namespace kv::io {

using SimFileRef = std::shared_ptr<SimFile>;

/// Without doubled and trailing slashes, and without a leading "./"; "." is empty.
std::string sim_path(std::string_view path);
/// The directory that holds `path`; empty for a relative path of one component.
std::string_view sim_parent(std::string_view path);

class SimNames {
public:
    /// A null file is a directory.
    using Table = std::map<std::string, SimFileRef, std::less<>>;

    const Table& visible() const noexcept { return visible_; }
    /// Null: nothing there. Points to null: a directory.
    const SimFileRef* find(std::string_view path) const;
    bool is_directory(std::string_view path) const;
    /// Names directly inside, in byte order.
    std::vector<std::string> list(std::string_view directory) const;
    Table durable() const;

    /// Changes are visible at once; the result names the change for acknowledge().
    std::uint64_t create(std::string path, SimFileRef file);
    std::uint64_t rename(std::string from, std::string to);
    std::uint64_t unlink(std::string path);
    void acknowledge(std::uint64_t change, std::uint64_t clock) noexcept;
    /// Changes inside `directory` acknowledged before `clock` become durable; of those not yet
    /// acknowledged, whatever `prng` says.
    void sync(std::string_view directory, std::uint64_t clock, Prng& prng);

    void crash_process() noexcept;
    void lose_power(SimLoss loss, Prng& prng);
    /// Test hooks: what is pending becomes durable first.
    void settle_all();

private:
    /// A rename has both paths, a creation only `to`, an unlink only `from`.
    struct Change {
        std::string from;
        std::string to;
        SimFileRef file;
        std::uint64_t acknowledged = 0;
        bool from_durable = false;
        bool to_durable = false;
        bool durable() const noexcept { return from_durable && to_durable; }
    };

    std::uint64_t push(Change change);
    static void apply(Table& table, const Change& change);
    static void drop_orphans(Table& table);
    void settle();

    Table visible_;
    Table base_;
    std::deque<Change> changes_;
    std::uint64_t first_change_ = 1;
};

}  // namespace kv::io
