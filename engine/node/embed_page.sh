#!/bin/sh
# embed_page.sh PAGE HEADER: writes the page of the admin port as a string of C++.
set -eu
{
    printf '#pragma once\n\n#include <string_view>\n\nnamespace kv {\n\n'
    printf 'inline constexpr std::string_view admin_page = R"KVPAGE('
    cat "$1"
    printf ')KVPAGE";\n\n}  // namespace kv\n'
} >"$2"
