#pragma once

/// A fresh directory that goes with its object. It lies in TMPDIR, for which Meson gives the build
/// folder: a real disk, where /tmp may be memory.

#include <cstdlib>
#include <filesystem>
#include <string>

#include "proto/base/assert.h"

namespace kv::test {

class TemporaryDirectory {
public:
    TemporaryDirectory() {
        std::string name = std::filesystem::temp_directory_path() / "kv-test-XXXXXX";
        KV_ASSERT(mkdtemp(name.data()) != nullptr, "{}", name);
        path_ = name;
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    ~TemporaryDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    const std::string& path() const noexcept { return path_; }
    std::string operator/(const std::string& name) const { return path_ + "/" + name; }

private:
    std::string path_;
};

}  // namespace kv::test
