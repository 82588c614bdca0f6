# SPDX-License-Identifier: Apache-2.0
# Warnings and sanitizers. Nothing here reaches a consumer of the library.

function(annals_developer_options target)
  if(ANNALS_DEVELOPER)
    target_compile_options(${target} PRIVATE "$<BUILD_INTERFACE:-Wall;-Wextra;-Wpedantic;-Wconversion;-Wshadow;-Werror>")
  endif()
endfunction()

if(ANNALS_SANITIZE)
  # Without vptr: that check needs a free descriptor, and some tests leave none.
  add_compile_options(-fsanitize=${ANNALS_SANITIZE} -fno-sanitize=vptr -fno-sanitize-recover=all -fno-omit-frame-pointer -O1)
  add_link_options(-fsanitize=${ANNALS_SANITIZE})
endif()
