# Only for builds against the ROS 2 wheels; setup.py passes it as CMAKE_PROJECT_INCLUDE.
# The wheels' exported targets name include directories of the machine that built the wheels. CMake refuses targets
# with missing directories, so those are dropped once every find_package() has run.
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
cmake_language(DEFER CALL _drop_missing_include_directories)
