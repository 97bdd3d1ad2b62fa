// The hands of each fresh image, in C++.
//
// colcon builds it with the tests of maskhand_ros where rclcpp is found. For a package of your own, depend on rclcpp and
// maskhand_ros in package.xml, and in CMakeLists.txt:
//
//   find_package(rclcpp REQUIRED)
//   find_package(maskhand_ros REQUIRED)
//   add_executable(read_hands read_hands.cpp)
//   target_link_libraries(read_hands rclcpp::rclcpp ${maskhand_ros_TARGETS})

#include <cmath>
#include <memory>

#include <maskhand_ros/msg/hand_array.hpp>
#include <rclcpp/rclcpp.hpp>

using maskhand_ros::msg::Hand;
using maskhand_ros::msg::HandArray;

constexpr double kMaxAge = 0.2;  // seconds since the stamp of the image

class ReadHands : public rclcpp::Node
{
public:
  ReadHands()
  : Node("read_hands")
  {
    hands_ = create_subscription<HandArray>(  // depth 1: no queue of old hands
      "hand_node/hands", 1, [this](HandArray::ConstSharedPtr message) {on_hands(*message);});
  }

private:
  void on_hands(const HandArray & message)
  {
    const double age = (now() - rclcpp::Time(message.header.stamp)).seconds();
    if (std::abs(age) > kMaxAge) {  // in the future: the clocks differ, so that the age is unknown
      RCLCPP_WARN_THROTTLE(get_logger(), *get_clock(), 1000, "hands are %.2f s old", age);
      return;
    }
    for (const Hand & hand : message.hands) {
      if (hand.state != Hand::TRACKED || hand.wrist.empty()) {  // empty where the scale is unknown
        continue;
      }
      const auto & wrist = hand.wrist.front().pose.position;  // metres, in message.header.frame_id
      RCLCPP_INFO(
        get_logger(), "%s hand %u%s: wrist at %.3f %.3f %.3f m, confidence %.2f",
        hand.side == Hand::RIGHT ? "right" : "left", hand.id, hand.is_operator ? " (operator)" : "",
        wrist.x, wrist.y, wrist.z, hand.confidence);
    }
  }

  rclcpp::Subscription<HandArray>::SharedPtr hands_;
};

int main(int argc, char ** argv)
{
  rclcpp::init(argc, argv);
  rclcpp::spin(std::make_shared<ReadHands>());
  rclcpp::shutdown();
  return 0;
}
