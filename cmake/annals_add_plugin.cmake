# SPDX-License-Identifier: Apache-2.0
# annals_add_plugin(NAME SOURCE...): a target annals_NAME that builds annals_NAME.so, which exports its descriptor and nothing else.
# Sources that `import annals.sdk;` link the target with annals::sdk; plugins in C need no more than this.

set(ANNALS_PLUGIN_EXPORTS ${CMAKE_CURRENT_LIST_DIR}/annals_plugin.exports)

function(annals_add_plugin name)
  set(target annals_${name})
  add_library(${target} MODULE ${ARGN})
  target_link_libraries(${target} PRIVATE annals::plugin_abi)
  set_target_properties(${target} PROPERTIES
    PREFIX "" SUFFIX .so C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON LINK_DEPENDS ${ANNALS_PLUGIN_EXPORTS})
  target_link_options(${target} PRIVATE -Wl,--version-script=${ANNALS_PLUGIN_EXPORTS})
endfunction()
