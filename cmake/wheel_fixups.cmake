# Only for builds against the ROS 2 wheels; setup.py passes it as CMAKE_PROJECT_INCLUDE.
# Both run after CMakeLists.txt, when every target is known.

# The wheels' targets name include directories of the machine that built the wheels; CMake refuses missing ones.
function(_drop_missing_include_directories)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(directories ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(directories)
      set(present "")
      foreach(directory IN LISTS directories)
        if(directory MATCHES "^\\$<" OR EXISTS "${directory}")
          list(APPEND present "${directory}")
        endif()
      endforeach()
      set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${present}")
    endif()
  endforeach()
endfunction()

# NumPy's headers lie in the virtual environment, and that may lie in the source tree (.venv): CMake refuses to export
# a directory of the source tree.
function(_keep_source_tree_out_of_exports)
  get_property(targets DIRECTORY PROPERTY BUILDSYSTEM_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(directories ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(directories)
      set(kept "")
      foreach(directory IN LISTS directories)
        string(FIND "${directory}" "${CMAKE_SOURCE_DIR}/" position)
        if(position EQUAL 0)
          set(directory "$<BUILD_INTERFACE:${directory}>")
        endif()
        list(APPEND kept "${directory}")
      endforeach()
      set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${kept}")
    endif()
  endforeach()
endfunction()

cmake_language(DEFER CALL _drop_missing_include_directories)
cmake_language(DEFER CALL _keep_source_tree_out_of_exports)
